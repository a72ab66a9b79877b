"""E-mails: written to an outbox in the transaction they tell of, sent by the worker (ADR 19).

CONFIRMED = EmailKind("order_confirmed", compose)

CONFIRMED.write(about=sale.reference)   # commits or rolls back with the transaction around it
"""

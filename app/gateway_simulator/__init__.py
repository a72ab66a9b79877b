"""A stand-in payment gateway: its own process, an HTTP API, a durable ledger and fault knobs.

It imports nothing of the shop; the two know each other by HTTP alone. Start it with
``python -m gateway_simulator`` from the folder ``app``.
"""

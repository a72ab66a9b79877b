"""Database backends that count statements.

Set ENGINE to "retail.db.backends.postgresql" or "retail.db.backends.sqlite3".
"""

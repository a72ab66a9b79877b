"""Django's database backends, counted: ENGINE is "retail.db.backends.postgresql" or "….sqlite3"."""

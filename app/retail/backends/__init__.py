"""Django's database backends, counted: ENGINE is "retail.backends.postgresql" or "….sqlite3"."""

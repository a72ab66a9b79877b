"""The index of search texts: trigrams, so that a word is also found inside another.

It is created after migrations rather than by one: SQLite drops its triggers with every migration
that rebuilds the table, and on PostgreSQL the extension may be allowed only later. Without the
index, searches return the same products, but read all of them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, connection, connections, transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import QuerySet

    from products.models import Product

logger = logging.getLogger("retail.products")

TRIGRAM = 3  # the index finds words of at least so many letters
_POSTGRESQL = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    # A short list of pending entries: every search reads it, but without it, writes are slow.
    """CREATE INDEX IF NOT EXISTS product_search ON products_product
    USING gin (search_text gin_trgm_ops) WITH (gin_pending_list_limit = 512)""",
)
_REMOVE = """INSERT INTO products_search (products_search, rowid, search_text)
    VALUES ('delete', old.id, old.search_text);"""
_INSERT = "INSERT INTO products_search (rowid, search_text) VALUES (new.id, new.search_text);"
_TRIGGERS = {
    "product_search_inserted": f"AFTER INSERT ON products_product BEGIN {_INSERT} END",
    "product_search_deleted": f"AFTER DELETE ON products_product BEGIN {_REMOVE} END",
    # Not when a sale changes the stock.
    "product_search_updated": "AFTER UPDATE OF id, search_text ON products_product"
    " WHEN old.id <> new.id OR old.search_text <> new.search_text"
    f" BEGIN {_REMOVE} {_INSERT} END",
}
_SQLITE = (
    """CREATE VIRTUAL TABLE IF NOT EXISTS products_search USING fts5
    (search_text, content='products_product', content_rowid='id', tokenize='trigram')""",
    *(f"CREATE TRIGGER IF NOT EXISTS {name} {body}" for name, body in _TRIGGERS.items()),
    "INSERT INTO products_search (products_search) VALUES ('rebuild')",
)
_DROP = {
    "postgresql": ("DROP INDEX IF EXISTS product_search",),
    "sqlite": (
        *(f"DROP TRIGGER IF EXISTS {name}" for name in _TRIGGERS),
        "DROP TABLE IF EXISTS products_search",
    ),
}
# Joins the products that contain all quoted words.
_FOUND = "products_search.rowid = products_product.id AND products_search MATCH %s"
_INDEXED = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE %s"

_ready: set[str] = set()  # the SQLite databases that have the index


def _run(database: BaseDatabaseWrapper, statements: Sequence[str]) -> None:
    with transaction.atomic(using=database.alias), database.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _has_column(database: BaseDatabaseWrapper) -> bool:
    with database.cursor() as cursor:
        if "products_product" not in database.introspection.table_names(cursor):
            return False
        columns = database.introspection.get_table_description(cursor, "products_product")
    return "search_text" in {column.name for column in columns}


def create_index(*, using: str, **_: Any) -> None:
    """Create the index if it is missing. Where that is not allowed, searches do without it."""
    database = connections[using]
    if not _has_column(database):
        return  # after a migration backwards
    try:
        if database.vendor == "postgresql":
            _run(database, _POSTGRESQL)
        elif not _complete(database):
            _run(database, _SQLITE)
    except DatabaseError as error:
        logger.warning("event=search.not_indexed", extra={"reason": str(error).strip()})


def drop_index(using: str) -> None:
    """Drop the index, before its column is dropped."""
    _ready.discard(str(connections[using].settings_dict["NAME"]))
    _run(connections[using], _DROP[connections[using].vendor])


def _complete(database: BaseDatabaseWrapper) -> bool:
    """Return whether an SQLite database has the index and all of its triggers."""
    with database.cursor() as cursor:
        cursor.execute(_INDEXED, ["product_search_%"])
        return bool(cursor.fetchone()[0] == len(_TRIGGERS))


def narrowed(products: QuerySet[Product], words: Sequence[str]) -> QuerySet[Product]:
    """Return `products` read through the index, unless the database does that by itself.

    What is read must still be compared with the words. The index is joined, so reading may stop
    early; a subquery would first collect all that it finds. Do not use the result as a subquery.
    """
    long = [word for word in words if len(word) >= TRIGRAM]
    if connection.vendor != "sqlite" or not long:
        return products
    name = str(connection.settings_dict["NAME"])
    if name not in _ready:
        if not _complete(connection):
            return products
        _ready.add(name)
    quoted = ('"' + word.replace('"', '""') + '"' for word in long)
    return products.extra(  # noqa: S610 - the ORM has no join with a table without a model
        tables=["products_search"], where=[_FOUND], params=[" AND ".join(quoted)]
    )

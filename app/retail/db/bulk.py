"""Write many rows with one statement: on PostgreSQL by COPY and from arrays, which is faster.

Nothing is computed: neither `save` nor `pre_save` is called, and `search_text` is the caller's.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

from django.db import connection, models

if TYPE_CHECKING:
    from collections.abc import Sequence

    Rows = Sequence[Sequence[Any]]

# How COPY's text format writes what would end a value or a row.
_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def insert_rows(model: type[models.Model], columns: Sequence[str], rows: Rows) -> None:
    """Insert rows with the values of these columns; the others get the database's default."""
    if not rows:
        return
    fields = [model._meta.get_field(name) for name in columns]  # noqa: SLF001 - documented API
    table, names = _table(model), ", ".join(map(_column, fields))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            encoders = [_encoder(field) for field in fields]
            lines = ("\t".join(map(_copied, encoders, row)) for row in rows)
            text = io.StringIO("\n".join(lines))
            with connection.wrap_database_errors:
                cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN", text)
        else:
            marks = ", ".join(["%s"] * len(fields))
            cursor.executemany(
                f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 - names of ours
                [list(map(_prepared, fields, row)) for row in rows],
            )


def update_rows(model: type[models.Model], columns: Sequence[str], rows: Rows) -> None:
    """Set these columns in rows that exist. Each row begins with its key; the values follow."""
    if not rows:
        return
    meta = model._meta  # noqa: SLF001 - documented API
    fields = [meta.get_field(name) for name in columns]
    table, key, names = _table(model), _column(meta.pk), list(map(_column, fields))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            arrays = ", ".join(f"%s::{_type(field)}[]" for field in (meta.pk, *fields))
            cursor.execute(
                f"UPDATE {table} SET {', '.join(f'{name} = row.{name}' for name in names)} "  # noqa: S608
                f"FROM unnest({arrays}) AS row ({', '.join([key, *names])}) "
                f"WHERE {table}.{key} = row.{key}",
                [list(values) for values in zip(*rows, strict=True)],
            )
        else:
            cursor.executemany(
                f"UPDATE {table} SET {', '.join(f'{name} = %s' for name in names)} "  # noqa: S608
                f"WHERE {key} = %s",
                [[*map(_prepared, fields, row[1:]), row[0]] for row in rows],
            )


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001 - documented API


def _column(field: Any) -> str:
    return connection.ops.quote_name(field.column)


def _type(field: Any) -> str:
    return str((field.target_field if field.is_relation else field).cast_db_type(connection))


def _prepared(field: Any, value: Any) -> Any:
    return None if value is None else field.get_db_prep_save(value, connection)


def _encoder(field: Any) -> type[json.JSONEncoder] | None:
    return (field.encoder or json.JSONEncoder) if isinstance(field, models.JSONField) else None


def _copied(encoder: type[json.JSONEncoder] | None, value: Any) -> str:
    """Return a value as COPY takes it; an encoder means that it is stored as JSON."""
    if value is None:
        return "\\N"
    text = json.dumps(value, cls=encoder) if encoder else str(value)
    return text.translate(_ESCAPED) if _SPECIAL.search(text) else text

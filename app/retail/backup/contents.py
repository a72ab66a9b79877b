"""What is in a database, by which a restored one is compared with its backup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The rows of an empty shop: what `migrate` writes.
OF_MIGRATIONS = frozenset(
    ("auth.group", "auth.group_permissions", "auth.permission", "contenttypes.contenttype")
)
_SUMMED = (models.DecimalField, models.IntegerField)


def contents(alias: str) -> dict[str, Any]:
    """Return the last migration of each app, and each table's number of rows and sums.

    All numbers are summed but keys: money, stock, units. Call it in one snapshot.
    """
    return {
        "migrations": applied(alias),
        "tables": {model._meta.label_lower: _totals(model, alias) for model in _tables()},  # noqa: SLF001 - documented API
    }


def applied(alias: str) -> dict[str, str]:
    """Return the last migration in the database of each app that the shop has."""
    last: dict[str, str] = {}
    for app, name in MigrationRecorder(connections[alias]).applied_migrations():
        last[app] = max(name, last.get(app, ""))
    return {app: last[app] for app in known() if app in last}


def known() -> dict[str, str]:
    """Return the last migration of each app in this version of the shop."""
    return dict(sorted(MigrationLoader(None).graph.leaf_nodes()))


def is_empty(alias: str) -> bool:
    """Whether a database has no tables, or nothing but what `migrate` has written."""
    existing = set(connections[alias].introspection.table_names())
    used = (
        model
        for model in _tables()
        if model._meta.db_table in existing and model._meta.label_lower not in OF_MIGRATIONS  # noqa: SLF001 - documented API
    )
    return not any(_rows(model, alias).exists() for model in used)


def difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Return how the first tables differ, in a line; nothing if none does."""
    before, after = expected["tables"], found["tables"]
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    return "; ".join(f"{name}: {before.get(name)}, now {after.get(name)}" for name in names[:3])


def _tables() -> Iterator[type[models.Model]]:
    for model in apps.get_models(include_auto_created=True):
        if model._meta.managed and not model._meta.proxy:  # noqa: SLF001 - documented API
            yield model


def _rows(model: type[models.Model], alias: str) -> models.QuerySet[models.Model]:
    return model._base_manager.using(alias).order_by()  # noqa: SLF001 - documented API


def _totals(model: type[models.Model], alias: str) -> dict[str, str]:
    """Return the totals as text: amounts have no exact JSON number."""
    summed = [
        field.name
        for field in model._meta.concrete_fields  # noqa: SLF001 - documented API
        if isinstance(field, _SUMMED) and not field.primary_key
    ]
    # The name of an aggregate must not be that of a field, and there may be a field `rows`.
    totals = _rows(model, alias).aggregate(
        sum_=models.Count("*"), **{f"sum_{name}": models.Sum(name) for name in summed}
    )
    totals = {"rows": totals.pop("sum_"), **totals}
    return {name: str(value or 0) for name, value in totals.items()}

"""What is looked up and, if it is missing, created cannot be created twice."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db.models import AutoField, Model, UniqueConstraint

APP = Path(__file__).parents[2] / "app"
METHODS = {"get_or_create", "update_or_create", "aget_or_create", "aupdate_or_create"}
MODELS = {model.__name__: model for model in apps.get_models()}


def _calls(methods: set[str]) -> Iterator[tuple[str, str, set[str]]]:
    """Yield each call: its place, the model's name, and the names of its arguments."""
    for path in sorted(APP.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr not in methods:
                    continue
                place = f"{path.relative_to(APP)}:{node.lineno}"
                model = ast.unparse(node.func.value).partition(".")[0]
                arguments = {keyword.arg or "**" for keyword in node.keywords}
                yield place, model, arguments - {"defaults", "create_defaults"}


def _columns(model: type[Model], names: Iterable[str]) -> set[str]:
    """Return the fields' columns; a foreign key may be given as an object or by its id."""
    key = model._meta.pk.name
    fields: list[Any] = [model._meta.get_field(key if name == "pk" else name) for name in names]
    return {field.attname for field in fields}


def _found_by_unique(model: type[Model], names: set[str]) -> bool:
    """Whether the database keeps unique what is given, or a part of it."""
    meta = model._meta
    unique = [{field.attname} for field in meta.concrete_fields if field.unique]
    unique += [_columns(model, names) for names in meta.unique_together]
    unique += [
        _columns(model, constraint.fields)
        for constraint in meta.constraints
        if isinstance(constraint, UniqueConstraint) and constraint.condition is None
    ]
    given = _columns(model, names)
    return any(columns <= given for columns in unique)


def _may_conflict(model: type[Model]) -> bool:
    """Whether anything but a number that the database assigns is unique in the model's table."""
    meta = model._meta
    unique = [it for it in meta.concrete_fields if it.unique and not isinstance(it, AutoField)]
    rules = [it for it in meta.constraints if isinstance(it, UniqueConstraint)]
    return bool(unique or rules or meta.unique_together)


CALLS = list(_calls(METHODS))
INSERTS = [
    (place, model)
    for place, model, arguments in _calls({"bulk_create", "abulk_create"})
    if not arguments.isdisjoint({"ignore_conflicts", "update_conflicts"})
]


@pytest.mark.parametrize(("place", "model", "fields"), CALLS, ids=[place for place, *_ in CALLS])
def test_a_row_is_found_by_what_the_database_keeps_unique(
    place: str, model: str, fields: set[str]
) -> None:
    """Without that, two processes that look at the same time both create it."""
    assert _found_by_unique(MODELS[model], fields), f"{place}: {model} by {sorted(fields)}"


@pytest.mark.parametrize(("place", "model"), INSERTS, ids=[place for place, _ in INSERTS])
def test_an_insert_that_expects_conflicts_can_have_one(place: str, model: str) -> None:
    assert _may_conflict(MODELS[model]), f"{place}: nothing in {model} is unique"


def test_it_finds_the_calls_and_tells_unique_from_other_fields() -> None:
    assert len(CALLS) > 5
    assert {model for _, model in INSERTS} >= {"Email", "Notice", "JobSuccess"}
    assert not _may_conflict(MODELS["StockMovement"])
    assert _found_by_unique(MODELS["CircuitBreaker"], {"name"})
    assert _found_by_unique(MODELS["VerdictInterval"], {"scenario", "since"})
    assert _found_by_unique(MODELS["CartItem"], {"cart", "product_id"})
    assert not _found_by_unique(MODELS["VerdictInterval"], {"scenario"})
    assert not _found_by_unique(MODELS["Schedule"], {"name"})
    assert not _found_by_unique(MODELS["AuditViolation"], {"invariant", "subject"})  # only open

"""Batches go on past what they cannot do, name it, and blame no row for a broken database."""

import uuid
from collections.abc import Sequence

import pytest
from django.db import OperationalError, connection

from products.models import Category
from retail.db.batches import in_parts, readable
from tests.retail.conftest import Lines

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("bad", [set(), {0}, {6}, {3, 4}, set(range(7))])
def test_a_batch_does_all_but_what_fails_by_itself(bad: set[int], lines: Lines) -> None:
    done: list[int] = []

    def act(numbers: Sequence[int]) -> int:
        if bad & set(numbers):
            raise LookupError("bad")
        done.extend(numbers)
        return len(numbers)

    result = in_parts(range(7), act, batch="numbers")
    assert done == [number for number in range(7) if number not in bad]
    assert sum(result.results) == len(done)
    assert result.failed == sorted(bad)
    named = [line for line in lines() if line["message"] == "event=batch.item_failed"]
    assert [line["extra"]["row"] for line in named] == [str(number) for number in sorted(bad)]
    assert {line["extra"]["batch"] for line in named} <= {"numbers"}
    assert in_parts([], act, batch="numbers") == ([], [])


def test_a_database_that_fails_is_no_rows_fault(lines: Lines) -> None:
    def act(_: Sequence[int]) -> None:
        raise OperationalError("gone")

    with pytest.raises(OperationalError):
        in_parts([1, 2], act, batch="numbers")
    assert [line for line in lines() if line["message"] == "event=batch.item_failed"] == []


def test_a_database_that_fails_while_rows_are_read_is_asked_once() -> None:
    asked = []

    def fail(*_: object) -> None:
        asked.append(1)
        raise OperationalError("gone")

    with connection.execute_wrapper(fail), pytest.raises(OperationalError):
        readable(Category.objects.order_by("name"))
    assert len(asked) == 1


def test_rows_are_read_in_their_order_without_those_that_cannot_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [uuid.uuid4().hex for _ in range(5)]
    for name in names:
        Category.objects.create(name=name, slug=name)

    def read(value: str, *_: object) -> str:
        if value == sorted(names)[2]:
            raise ArithmeticError
        return value

    monkeypatch.setattr(Category._meta.get_field("name"), "from_db_value", read, raising=False)
    rest = [name for name in sorted(names) if name != sorted(names)[2]]
    assert [category.name for category in readable(Category.objects.order_by("name"))] == rest
    assert readable(Category.objects.order_by("name").values_list("name", flat=True)) == rest

"""Batches that go on past what they cannot do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from django.db import InterfaceError, OperationalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.db.models import QuerySet

Key = TypeVar("Key")
Result = TypeVar("Result")
Row = TypeVar("Row")

logger = logging.getLogger("retail.batches")


class Done(NamedTuple):
    """What a batch has done: the results of its parts, and the keys that it had to leave out."""

    results: list[Any]
    failed: list[Any]


def in_parts(keys: Sequence[Key], act: Callable[[Sequence[Key]], Any], *, batch: str) -> Done:
    """Call `act` with all keys; where it fails, with fewer, down to each by itself.

    A key that fails by itself is logged under the name of the batch. If it is the database that
    fails, raises its error: no key is to blame.
    """
    done = Done([], [])
    parts = [keys] if keys else []
    while parts:
        part = parts.pop()
        try:
            done.results.append(act(part))
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            if len(part) == 1:
                done.failed.append(part[0])
                extra = {"batch": batch, "row": str(part[0])}
                logger.exception("event=batch.item_failed", extra=extra)
            half = len(part) // 2
            parts += [some for some in (part[half:], part[:half]) if 0 < len(some) < len(part)]
    return done


def readable(rows: QuerySet[Any, Row]) -> list[Row]:
    """Return the rows, without those that cannot be read, such as money with too many digits.

    Each of these is logged with its table and key. `rows` must not be sliced.
    """
    try:
        return list(rows)
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # noqa: BLE001, S110 - the conversion of a value may raise anything
        pass
    keys = list(rows.values_list("pk", flat=True))  # raises if it is the database that fails
    table = rows.model._meta.db_table  # noqa: SLF001 - a documented API
    done = in_parts(keys, lambda some: list(rows.filter(pk__in=some)), batch=table)
    return [row for part in done.results for row in part]

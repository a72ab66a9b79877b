"""Divide a table into ranges of ids for a scan, with a safe checkpoint after each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import Count, Max, Min, Q, QuerySet

from retail.db.reads import bounded_read, settled_before

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retail.audit.declare import Checkpoint

SECONDS = 20  # for one statement of an audit


class Range(NamedTuple):
    """The ids of rows scanned together, their number, and the last id that is settled.

    `end` means that no range follows.
    """

    first: int
    last: int
    size: int
    done: int
    end: bool

    @property
    def condition(self) -> str:
        """The range as an SQL condition, to be written after a column."""
        return f"BETWEEN {self.first} AND {self.last}"

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the next scan may start."""
        return {"done": self.done} if self.done else {}


def ranges(
    rows: QuerySet[Any], done: int, *, chunk: int, moving: Q | None = None
) -> Iterator[Range]:
    """Yield the rows after the id `done`, `chunk` at a time, by ascending id.

    `done` of a range never passes a row that is `moving`, or so young that a row with a lower id
    may still appear.
    """
    held = Q(created_at__gte=settled_before()) | (moving or Q())
    last, advancing = done, True
    while True:
        some = rows.filter(pk__gt=last).order_by("pk")[:chunk]
        with bounded_read(SECONDS):
            extent = some.aggregate(
                first=Min("pk"), last=Max("pk"), size=Count("pk"), held=Min("pk", filter=held)
            )
        if not extent["size"]:
            return
        if advancing and extent["held"] is None:
            done = extent["last"]
        elif advancing:
            before = rows.filter(pk__gt=last, pk__lt=extent["held"]).exclude(held)
            done = before.aggregate(last=Max("pk"))["last"] or done
            advancing = False
        last = extent["last"]
        # A range that is not full is the last: a scan does not pursue the orders of a busy shop.
        end = extent["size"] < chunk or not rows.filter(pk__gt=last).exists()
        yield Range(extent["first"], last, extent["size"], done, end)
        if end:
            return

"""Rows that a worker claims for a while, and works off in a few threads.

Claiming a due row moves its `due_at` ahead by a lease, so that no other worker claims it until the
lease expires.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import connections, transaction

from retail import jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound="Model")

BUDGET_SECONDS = 20  # then the worker's other pollers have their turn


@transaction.atomic
def claim_due(due: QuerySet[Any], size: int, *, until: datetime) -> list[Any]:
    """Claim up to `size` rows that are due and that no other worker has locked; return their keys.

    The most overdue ones come first.
    """
    free = due.select_for_update(skip_locked=True, of=("self",)).order_by("due_at")
    claimed = list(free.values_list("pk", flat=True)[:size])
    due.model._default_manager.filter(pk__in=claimed).update(due_at=until)  # noqa: SLF001 - documented
    return claimed


def work_off(
    claim: Callable[[], Sequence[Row]], finish: Callable[[Row], object], *, threads: int
) -> int:
    """Claim and finish rows until none is left, the budget is used or the worker stops.

    Returns how many were claimed. `finish` must not raise: it logs what goes wrong.
    """

    def finish_in_thread(row: Row) -> None:
        try:
            finish(row)
        finally:
            connections.close_all()

    claimed = 0
    until = monotonic() + BUDGET_SECONDS
    while monotonic() < until and not jobs.stopping.is_set() and (batch := claim()):
        claimed += len(batch)
        if len(batch) == 1:
            finish(batch[0])
            continue
        with ThreadPoolExecutor(min(threads, len(batch)), "settle") as pool:
            list(pool.map(finish_in_thread, batch))
    return claimed

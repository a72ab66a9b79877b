"""Scan the gateway's ledger for an audit, from a checkpoint in this gateway's ids.

While the gateway does not answer, an invariant is reported as not checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from django.conf import settings
from django.utils import timezone

from payments.selectors import asking_gateway
from retail.audit.declare import Checkpoint, Part, Violation
from retail.db.reads import ROW_MARGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime


class LedgerRow(Protocol):
    """A row of one of the gateway's lists."""

    @property
    def id(self) -> int: ...  # noqa: D102

    @property
    def created_at(self) -> datetime: ...  # noqa: D102


Row = TypeVar("Row", bound=LedgerRow)


def scan_ledger(
    checkpoint: Checkpoint,
    read: Callable[[int], list[Row]],
    find: Callable[[list[Row]], tuple[Sequence[Violation], Collection[int]]],
) -> Iterator[Part]:
    """Yield a list's pages, each with its violations; `read` returns the page after an id.

    The checkpoint stops before young rows, and before those whose ids `find` returns.
    """
    of_this = checkpoint.get("gateway", settings.GATEWAY_NAME) == settings.GATEWAY_NAME
    last = done = checkpoint.get("done", 0) if of_this else 0
    settled, advancing = timezone.now() - ROW_MARGIN, True
    while True:
        with asking_gateway():
            page = read(last)
        if not page:
            return
        violations, held = find(page)
        for row in page:
            advancing = advancing and row.created_at < settled and row.id not in held
            done = row.id if advancing else done
        last = page[-1].id
        next_scan = {"done": done, "gateway": settings.GATEWAY_NAME} if done else {}
        yield Part(len(page), violations, next_scan)

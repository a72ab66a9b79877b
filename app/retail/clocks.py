"""Stored times, and a clock that is set back after they were written (docs/clocks.md).

What is due at a time, or counts from one, would otherwise stand still until the clock is there
again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from django.db.models import QuerySet

MARGIN = timedelta(minutes=1)  # the clocks of two machines may differ

logger = logging.getLogger("retail.clocks")


@dataclass(frozen=True)
class StoredTime:
    """A column with times that are at most `ahead` of the clock when they are written."""

    rows: Callable[[], QuerySet[Any]]
    field: str
    ahead: Callable[[], timedelta] = timedelta


# Each app adds those on which its work depends; the worker looks at them with each heartbeat.
stored_times: list[StoredTime] = []


def pull_back(now: datetime) -> int:
    """Set stored times that are further ahead than they can be to `now`; return how many."""
    count = 0
    for stored in stored_times:
        latest = now + stored.ahead() + MARGIN
        rows = stored.rows().filter(**{f"{stored.field}__gt": latest})
        if rows.exists() and (pulled := rows.update(**{stored.field: now})):
            fields = {"table": rows.model._meta.db_table, "rows": pulled}  # noqa: SLF001 - a documented API
            logger.warning("event=clock.set_back", extra=fields)
            count += pulled
    return count


class Countdown:
    """The time until a stored moment, by this process's own clock too.

    The stored moment is of a clock that may be set back, which would put the moment off.
    """

    def __init__(self) -> None:
        self._seen: tuple[datetime | None, float] = (None, 0)

    def left(self, end: datetime, now: datetime, most: float) -> float:
        """Return the seconds until `end`, which was set at most so many seconds ahead.

        Further away than that and MARGIN, the clock was set back since, and 0 is returned.
        Otherwise it is at most what was left when this process first saw `end`, less the time that
        has passed here.
        """
        if end - now > timedelta(seconds=most) + MARGIN:
            return 0
        left = min((end - now).total_seconds(), most)
        seen, until = self._seen
        if seen != end:
            until = monotonic() + left
            self._seen = (end, until)
        return max(0, min(left, until - monotonic()))

"""How far a file is, how fast it goes on, and how long the rest will take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from partner_feeds.models import Ingestion

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class Progress:
    """Rows done of all rows, which are unknown while a file is read (None)."""

    done: int
    total: int | None
    per_second: float | None = None  # unknown at first

    @property
    def percent(self) -> int | None:
        """The share of rows that is done."""
        return min(100 * self.done // self.total, 100) if self.total else None

    @property
    def left(self) -> timedelta | None:
        """How long the rest takes, if it goes on like this."""
        if not self.per_second or self.total is None:
            return None
        return timedelta(seconds=max(self.total - self.done, 0) / self.per_second)


@dataclass(frozen=True)
class Mark:
    """How far a file was when somebody opened its page."""

    status: str
    done: int
    at: float  # seconds since 1970


def mark_of(ingestion: Ingestion, now: datetime) -> Mark:
    """Return how far a file is now."""
    return Mark(ingestion.status, done_of(ingestion), round(now.timestamp(), 1))


def done_of(ingestion: Ingestion) -> int:
    """Return how many rows of an ingestion are read; once it is being applied: applied."""
    if ingestion.status == Ingestion.Status.READING or ingestion.takes_back_id:
        return ingestion.rows
    rejected_before: int = sum(ingestion.rejected_by_code.values())
    applied = ingestion.created + ingestion.updated + ingestion.unchanged
    return applied + ingestion.rejected - rejected_before


def progress_of(ingestion: Ingestion, now: datetime, since: Mark | None = None) -> Progress:
    """Return how far a file is; its rate is that since a mark of the same status."""
    done = done_of(ingestion)
    reading = ingestion.status == Ingestion.Status.READING
    rate = 0.0
    if since and since.status == ingestion.status and since.done <= done:
        seconds = now.timestamp() - since.at
        rate = (done - since.done) / seconds if seconds >= 1 else 0.0
    return Progress(done, None if reading else ingestion.to_apply, rate or None)

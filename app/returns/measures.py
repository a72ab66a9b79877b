"""The numbers of returns and refunds at a moment. Those over time are in retail/measures.py.

A docstring is the number's definition, as the API publishes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

OWED = "owed"  # it failed, and nothing replaces it
REFUND_STATES = ("requested", "unknown", "pending", "needs_human", OWED)
FOR_STAFF = frozenset({"needs_human", OWED})  # only a person can go on with these
RETURN_STATES = ("requested", "approved", "received")


@dataclass(frozen=True)
class OpenRefunds:
    """Unsettled refunds in one of REFUND_STATES."""

    state: str
    count: int
    oldest: datetime  # when the first of them was requested
    again: int = 0  # so many replace one that failed


@dataclass(frozen=True)
class WaitingReturns:
    """Returns in one of RETURN_STATES."""

    status: str
    count: int
    oldest: datetime  # when the first of them was requested


def refunds_unsettled(rows: Iterable[OpenRefunds]) -> int:
    """Refunds that are not settled: requested, on their way, or failed and owed again."""
    return sum(row.count for row in rows)


def refunds_for_staff(rows: Iterable[OpenRefunds]) -> int:
    """Unsettled refunds that failed, or whose outcome a person has to find out."""
    return refunds_unsettled(row for row in rows if row.state in FOR_STAFF)


def refunds_reopened(rows: Iterable[OpenRefunds]) -> int:
    """Unsettled refunds that failed, wait for a person, or replace one that failed."""
    return sum(row.count if row.state in FOR_STAFF else row.again for row in rows)


def refund_most_age_seconds(state: str) -> float:
    """Return how long a refund may be in a state: a bank takes days to pay out a pending one."""
    limits = THRESHOLDS.refunds
    return limits.pending_most_age_seconds if state == "pending" else limits.most_age_seconds


def refunds_stuck(rows: Iterable[OpenRefunds], now: datetime) -> list[OpenRefunds]:
    """Unsettled refunds on their way whose oldest one is beyond the limit of its state."""
    return [
        row
        for row in rows
        if row.state not in FOR_STAFF
        and (now - row.oldest).total_seconds() > refund_most_age_seconds(row.state)
    ]


def refunds_oldest_seconds(rows: Iterable[OpenRefunds], now: datetime) -> float:
    """Time since the oldest unsettled refund was requested; 0 without one."""
    return _oldest_seconds((row.oldest for row in rows), now)


def returns_waiting(rows: Iterable[WaitingReturns]) -> int:
    """Goods to come back: returns that wait for approval, the parcel, or the refund."""
    return sum(row.count for row in rows)


def returns_oldest_seconds(rows: Iterable[WaitingReturns], now: datetime) -> float:
    """Time since the oldest waiting return was requested; 0 without one."""
    return _oldest_seconds((row.oldest for row in rows), now)


def _oldest_seconds(moments: Iterable[datetime], now: datetime) -> float:
    return max((now - min(moments, default=now)).total_seconds(), 0.0)

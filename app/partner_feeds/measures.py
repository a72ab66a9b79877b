"""The numbers of partner feeds at a moment.

A docstring is the number's definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


@dataclass(frozen=True)
class Partnership:
    """An active partner, its promise, and its last success.

    `promise_seconds` is None if it promised nothing, `last_success` if nothing was taken in yet.
    """

    label: str
    slug: str
    name: str
    promise_seconds: float | None
    promised_at: datetime
    last_success: datetime | None


@dataclass(frozen=True)
class HeldFile:
    """A file that waits for a decision of staff."""

    partner: str
    held_at: datetime


def age_seconds(of: Partnership, now: datetime) -> float:
    """Time since the partner's last file was taken in, or since its promise, if that is later."""
    since = max(of.last_success or of.promised_at, of.promised_at)
    return max((now - since).total_seconds(), 0.0)


def lateness(of: Partnership, now: datetime) -> float:
    """Age as a ratio of the partner's promise, above 1 if it is stale; 0 without a promise."""
    return age_seconds(of, now) / of.promise_seconds if of.promise_seconds else 0.0


def stale(partners: Iterable[Partnership], now: datetime) -> list[Partnership]:
    """Active partners whose age is beyond their promise, the worst first."""
    late = [one for one in partners if lateness(one, now) > 1]
    return sorted(late, key=lambda one: lateness(one, now), reverse=True)


def worst_by_label(partners: Iterable[Partnership], now: datetime) -> dict[str, Partnership]:
    """Partners with a promise by their label: of several, the one that is latest."""
    worst: dict[str, Partnership] = {}
    for one in sorted(partners, key=lambda one: lateness(one, now)):
        if one.promise_seconds:
            worst[one.label] = one
    return worst


def held_oldest_seconds(held: Iterable[HeldFile], now: datetime) -> float:
    """Time since the oldest held file was read to its end; 0 without one."""
    oldest = min((one.held_at for one in held), default=now)
    return max((now - oldest).total_seconds(), 0.0)

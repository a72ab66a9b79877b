"""Health check of partner feeds: files that are late, held, or refused."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.urls import reverse_lazy

from partner_feeds import measures, totals
from retail.health import Finding, Harm, counted, health_check
from retail.templatetags.durations import duration
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from partner_feeds.measures import HeldFile, Partnership

_NAMED = 3
_PAGE = reverse_lazy("partner_feeds:desk")


@health_check("Partner feeds", Harm.BACKGROUND)
def partner_feeds(now: datetime) -> Finding:
    """Check that partners deliver as promised, and that no file waits for staff or is refused."""
    active = totals.partnerships(totals.partners_in_order(), totals.all_files())
    if not active:
        return Finding("calm", "none", "No partner delivers products.", str(_PAGE))
    if late := measures.stale(active, now):
        return _stale(late, now)
    held = totals.held_files()
    if measures.held_oldest_seconds(held, now) > THRESHOLDS.held_feeds.most_age_seconds:
        return _held(held, now)
    if held:
        return Finding("warn", "held", _waiting(held), str(_PAGE))
    if refused := totals.partners_refused_last():
        detail = f"The last file of {_names(refused)} was refused."
        return Finding("warn", "refused", detail, str(_PAGE))
    detail = f"{counted(len(active), 'active partner')}, none of them late."
    return Finding("good", "on time", detail, str(_PAGE))


def _stale(late: Sequence[Partnership], now: datetime) -> Finding:
    """Return the finding of partners that have not delivered as promised."""
    worst = late[0]
    age = duration(timedelta(seconds=measures.age_seconds(worst, now)))
    return Finding(
        "bad",
        "late",
        f"Nothing was taken in from {worst.name} for {age}.",
        str(_PAGE),
        since=max(worst.last_success or worst.promised_at, worst.promised_at),
        affected=f"products of {_names([one.name for one in late])}",
        step="Open the partner's last file: was it refused or held? If there is none, ask the "
        "partner.",
        runbook="RetailFeedStale",
    )


def _held(held: Sequence[HeldFile], now: datetime) -> Finding:
    """Return the finding of files that have waited for staff for too long."""
    age = duration(timedelta(seconds=measures.held_oldest_seconds(held, now)))
    return Finding(
        "bad",
        "held",
        f"{_waiting(held)} The oldest has waited for {age}.",
        str(_PAGE),
        since=held[0].held_at,
        affected=f"products of {_names([one.partner for one in held])}",
        step="Read why it is held. Apply it anyway with a reason, or discard it.",
        runbook="RetailFeedHeld",
    )


def _waiting(held: Sequence[HeldFile]) -> str:
    names = _names([one.partner for one in held])
    return f"{counted(len(held), 'file')} held until staff decide: {names}."


def _names(names: Sequence[str]) -> str:
    """Return the first names in words."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more

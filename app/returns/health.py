"""Health check of refunds: money that is owed and not on its way."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.urls import reverse

from retail.health import Finding, Harm, counted, health_check
from retail.templatetags.durations import duration
from returns import measures
from returns.unsettled import refunds_by_state

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from returns.measures import OpenRefunds

_ASK = "Ask the gateway's support about the oldest. The desk (/desk/returns/) has its reference."
_LOOK = "Check that the worker is running and that the gateway answers. Send nothing by hand."


@health_check("Refunds", Harm.BOOKS)
def refunds(now: datetime) -> Finding:
    """Check that every refund is on its way, none for too long, and none waits for a person."""
    link = reverse("returns:desk")
    rows = refunds_by_state()
    whole = counted(measures.refunds_unsettled(rows), "refund")
    if not rows:
        return Finding("good", "none", "No refund is on its way.", link)
    age = duration(timedelta(seconds=measures.refunds_oldest_seconds(rows, now)))
    if measures.refunds_for_staff(rows):
        return _failed([row for row in rows if row.state in measures.FOR_STAFF], link)
    if stuck := measures.refunds_stuck(rows, now):
        return _stuck(stuck, now, link)
    detail = f"{whole} on the way, the oldest for {age}."
    if again := measures.refunds_reopened(rows):
        return Finding("warn", "tried again", f"{detail} After a failure: {again:,}.", link)
    if any(row.state == "unknown" for row in rows):
        return Finding("warn", "no answer yet", f"{detail} The worker asks the gateway.", link)
    return Finding("good", "on the way", detail, link)


def _failed(rows: list[OpenRefunds], link: str) -> Finding:
    """Return the finding of refunds that failed, or whose outcome nobody knows."""
    owed = measures.refunds_unsettled(row for row in rows if row.state == measures.OWED)
    unknown = measures.refunds_unsettled(rows) - owed
    detail = f"{owed:,} failed and owed again, {unknown:,} with an unknown outcome."
    return Finding(
        "bad",
        "money is owed",
        detail,
        link,
        since=_since(rows),
        affected=f"{counted(owed + unknown, 'refund')} not paid out",
        step="Open each on the desk (/desk/returns/): try it again or pay it another way. If its "
        "outcome is unknown, ask the gateway's support first.",
        runbook="RetailRefundFailed",
    )


def _stuck(rows: list[OpenRefunds], now: datetime, link: str) -> Finding:
    """Return the finding of refunds that are on their way for too long."""
    age = duration(timedelta(seconds=measures.refunds_oldest_seconds(rows, now)))
    pending = all(row.state == "pending" for row in rows)
    return Finding(
        "bad",
        "stuck",
        f"The oldest has been on the way for {age}.",
        link,
        since=_since(rows),
        affected=f"{counted(measures.refunds_unsettled(rows), 'refund')} not paid out",
        step=_ASK if pending else _LOOK,
        runbook="RetailRefundStuck",
    )


def _since(rows: Iterable[OpenRefunds]) -> datetime:
    return min(row.oldest for row in rows)

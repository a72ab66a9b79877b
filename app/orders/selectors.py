"""What others read of orders and payments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Count, Q
from django.db.models.functions import TruncMinute

from orders.models import Payment
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Iterable

OVERDUE = timedelta(seconds=THRESHOLDS.unknown_payments.most_age_seconds)


@dataclass(frozen=True)
class Unsettled:
    """Payments of one status, made in one minute, that are not settled."""

    start: datetime
    status: str
    count: int
    overdue: int  # UNKNOWN for so long that they count as failed in what people are shown


def payments_unsettled(*, now: datetime) -> list[Unsettled]:
    """Return how many payments are PENDING or UNKNOWN, by the minute (UTC) they were made in."""
    overdue = Q(status=Payment.Status.UNKNOWN, created_at__lt=now - OVERDUE)
    counted: Iterable[tuple[datetime, str, int, int]] = (
        # Said as the index of what is due says it: few rows are read, however many there are.
        Payment.objects.filter(status__in=[Payment.Status.PENDING, Payment.Status.UNKNOWN])
        .annotate(start=TruncMinute("created_at", tzinfo=UTC))
        .values_list("start", "status")
        .annotate(count=Count("pk"), overdue=Count("pk", filter=overdue))
        .order_by("start", "status")
    )
    return [Unsettled(*row) for row in counted]

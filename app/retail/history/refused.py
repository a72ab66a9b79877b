"""Count the checkouts that the open circuit breaker refused, and their buyers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from retail.history.points import point_of
from retail.models import Metric

if TYPE_CHECKING:
    from datetime import datetime

ROWS = 2_000  # read at most: hours of an outage
KIND = "circuit_breaker_state"


class Refused(NamedTuple):
    """Refused checkouts and their distinct buyers; `more` if only the latest were counted."""

    checkouts: int
    buyers: int
    more: bool


def refused_since(since: datetime) -> Refused:
    """Count the checkouts refused since a moment. The worker's retries are not among them."""
    rows = Metric.objects.filter(
        metric_type=KIND, timestamp__gte=since, metadata__has_key="fast_fails"
    )
    metadata = list(rows.order_by("-timestamp").values_list("metadata", flat=True)[: ROWS + 1])
    checkouts, buyers = 0, set[str]()
    for row in metadata[:ROWS]:
        checkouts += int(point_of(KIND, 0, row, since).aggregates["fast_fails"])
        named = row.get("buyers")
        buyers |= {str(buyer) for buyer in named} if isinstance(named, list) else set()
    return Refused(checkouts, len(buyers), len(metadata) > ROWS)

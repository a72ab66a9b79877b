"""The latest answers 5xx, with the ids under which the log tells more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.conf import settings

from retail import measures
from retail.models import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dashboards.numbers import Numbers

SHOWN = 20
ROWS = 200
AROUND = timedelta(minutes=15)  # of a request in the log


@dataclass(frozen=True)
class ServerError:
    """One answer 5xx."""

    request_id: str
    view: str
    status: int
    at: datetime

    @property
    def logs_url(self) -> str:
        """Where Grafana shows the request's log lines; "" where no Grafana is known."""
        if not settings.GRAFANA_URL:
            return ""
        asked = {
            "from": _milliseconds(self.at - AROUND),
            "to": _milliseconds(self.at + AROUND),
            "var-request_id": self.request_id,
        }
        return f"{settings.GRAFANA_URL}/d/retail-logs?{urlencode(asked)}"


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _errors(metadata: dict[str, Any]) -> Iterator[ServerError]:
    """Yield the errors that a row names. Anybody may record rows: what is no error is left out."""
    told = metadata.get("recent")
    for one in told if isinstance(told, list) else ():
        try:
            at = datetime.fromisoformat(one["at"]).astimezone(UTC)
            yield ServerError(str(one["request_id"]), str(one["view"]), int(one["status"]), at)
        except (KeyError, OverflowError, TypeError, ValueError):
            continue


def recent_errors(found: Numbers) -> list[ServerError]:
    """Return the latest answers 5xx of the range, the newest first; at most SHOWN.

    Only rows that have any are read, by the index of those, the latest first: a long range, and
    many rows without, cost no more.
    """
    if not any(measures.errors(window) for _, window in found.steps):
        return []
    rows = (
        Metric.objects.filter(
            metric_type="error_rate",
            value__gt=0,
            timestamp__gte=found.span.since,
            timestamp__lt=found.span.until,
        )
        .order_by("-timestamp", "-pk")
        .values_list("metadata", flat=True)[:ROWS]
    )
    errors = [error for metadata in rows for error in _errors(metadata)]
    return sorted(errors, key=lambda error: error.at, reverse=True)[:SHOWN]

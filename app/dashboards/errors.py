"""The latest 5xx responses, with the request ids that lead to their log lines."""

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
AROUND = timedelta(minutes=15)  # of log lines shown before and after a request


@dataclass(frozen=True)
class ServerError:
    """One 5xx response."""

    request_id: str
    view: str
    status: int
    at: datetime

    @property
    def logs_url(self) -> str:
        """The address of the request's log lines in Grafana; "" without GRAFANA_URL."""
        if not settings.GRAFANA_URL:
            return ""
        query = {
            "from": _milliseconds(self.at - AROUND),
            "to": _milliseconds(self.at + AROUND),
            "var-request_id": self.request_id,
        }
        return f"{settings.GRAFANA_URL}/d/retail-logs?{urlencode(query)}"


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _errors(metadata: dict[str, Any]) -> Iterator[ServerError]:
    """Yield the errors listed in a metric row, skipping malformed ones: any app may write rows."""
    recent = metadata.get("recent")
    for entry in recent if isinstance(recent, list) else ():
        try:
            at = datetime.fromisoformat(entry["at"]).astimezone(UTC)
            yield ServerError(
                str(entry["request_id"]), str(entry["view"]), int(entry["status"]), at
            )
        except (KeyError, OverflowError, TypeError, ValueError):
            continue


def recent_errors(numbers: Numbers) -> list[ServerError]:
    """Return the latest 5xx responses of the range, the newest first, at most SHOWN.

    Reads only rows with errors, by their index, so a long range costs no more than a short one.
    """
    if not any(measures.errors(window) for _, window in numbers.steps):
        return []
    rows = (
        Metric.objects.filter(
            metric_type="error_rate",
            value__gt=0,
            timestamp__gte=numbers.span.since,
            timestamp__lt=numbers.span.until,
        )
        .order_by("-timestamp", "-pk")
        .values_list("metadata", flat=True)[:ROWS]
    )
    errors = [error for metadata in rows for error in _errors(metadata)]
    return sorted(errors, key=lambda error: error.at, reverse=True)[:SHOWN]

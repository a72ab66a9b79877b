"""What many shops do first: a row for each request, written before it is answered."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from django.utils import timezone

from retail.models import Metric

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase


class InsertingMiddleware:
    """Writes the duration of each request into the Metric table."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer `request` and write its row."""
        started = perf_counter()
        response = self.get_response(request)
        Metric.objects.create(
            metric_type="avg_response_time",
            value=1000 * (perf_counter() - started),
            timestamp=timezone.now(),
            metadata={"path": request.path, "status": response.status_code},
        )
        return response

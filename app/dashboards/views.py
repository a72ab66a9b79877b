"""Views of the dashboard: page, updates, CSV download and the API."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboards.documents import as_csv, as_json
from dashboards.numbers import read_numbers
from dashboards.overview import DEFAULT_RANGE, RANGES, read_overview
from retail.health import health
from retail.history.read import days_range, time_range
from retail.web import live
from retail.web.access import exclude_from_metrics, staff_only, staff_or_token
from retail.web.problems import problem

if TYPE_CHECKING:
    from django.http import HttpRequest

    from dashboards.overview import Overview

DEFAULT_DAYS = 7
_DAYS = re.compile(r"[1-9]|[1-8][0-9]|90", re.ASCII)


def _range(request: HttpRequest) -> str | None:
    """Return the requested range, or None if it is unknown."""
    name = request.GET.get("range", DEFAULT_RANGE)
    return name if name in RANGES else None


def _invalid_range(request: HttpRequest) -> HttpResponse:
    return problem(
        request,
        HTTPStatus.BAD_REQUEST,
        title="Invalid range",
        message=f"The range must be one of {', '.join(RANGES)}.",
    )


def _context(request: HttpRequest, overview: Overview) -> dict[str, object]:
    """Return the rendered live fragments and their hash, by which the page detects changes."""
    verdict = live.part("dashboards/_verdict.html", {"overview": overview}, request)
    summary = live.part("dashboards/_summary.html", {"overview": overview}, request)
    details = live.part("dashboards/_details.html", {"overview": overview}, request)
    return {
        "overview": overview,
        "verdict": verdict,
        "summary": summary,
        "details": details,
        "content_hash": live.content_hash(verdict, summary, details),
    }


@staff_only
@never_cache
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the dashboard."""
    name = _range(request)
    if name is None:
        return _invalid_range(request)
    context = {**_context(request, read_overview(name, timezone.now())), "ranges": RANGES}
    exclude_from_metrics(request)
    return render(request, "dashboards/dashboard.html", context)


@staff_only
@never_cache
@require_safe
def poll(request: HttpRequest) -> HttpResponse:
    """Return the live fragments, or 204 if they have not changed."""
    name = _range(request)
    if name is None:
        return _invalid_range(request)
    context = _context(request, read_overview(name, timezone.now()))
    return live.poll(request, "dashboards/_live.html", context)


@staff_only
@never_cache
@require_safe
def download(request: HttpRequest) -> HttpResponse:
    """Return the steps of the range as a CSV file."""
    name = _range(request)
    if name is None:
        return _invalid_range(request)
    now = timezone.now()
    body = as_csv(read_numbers(time_range(name, now), now))
    exclude_from_metrics(request)
    return HttpResponse(
        body,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="vitrine-{name}-{now:%Y%m%d}.csv"'},
    )


@staff_or_token
@require_safe
def api(request: HttpRequest) -> HttpResponse:
    """Return the numbers as JSON (docs/api.md), or 304 if the client has the current ones."""
    days = request.GET.get("days", str(DEFAULT_DAYS))
    if not _DAYS.fullmatch(days):
        return problem(
            request,
            HTTPStatus.BAD_REQUEST,
            title="Invalid number of days",
            message="The parameter days must be a whole number from 1 to 90.",
            as_json=True,
        )
    now = timezone.now()
    numbers = read_numbers(days_range(int(days), now), now)
    body, content_hash = as_json(numbers, health(now), int(days))
    exclude_from_metrics(request)
    response = HttpResponse(body, content_type="application/json")
    etag = f'W/"{content_hash}"'
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Authorization", "Cookie"])
    return get_conditional_response(request, etag=etag, response=response) or response

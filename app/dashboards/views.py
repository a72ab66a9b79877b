"""The dashboard's addresses: page, its news, CSV file, and the API."""

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
from dashboards.numbers import numbers
from dashboards.overview import RANGES, USUAL, overview
from retail.history.read import days_range, time_range
from retail.web import live
from retail.web.access import staff_only, staff_or_token
from retail.web.problems import problem

if TYPE_CHECKING:
    from django.http import HttpRequest

    from dashboards.overview import Overview

USUAL_DAYS = 7
_DAYS = re.compile(r"[1-9]|[1-8][0-9]|90", re.ASCII)


def _range(request: HttpRequest) -> str | None:
    """Return the range that the address names, None if there is no such."""
    name = request.GET.get("range", USUAL)
    return name if name in RANGES else None


def _no_such_range(request: HttpRequest) -> HttpResponse:
    return problem(
        request,
        HTTPStatus.BAD_REQUEST,
        title="There is no such range",
        message=f"The range must be one of {', '.join(RANGES)}.",
    )


def _not_counted(request: HttpRequest) -> None:
    """Keep what looks at the numbers out of them; an answer 5xx never gets here, and counts."""
    request.uncounted = True  # type: ignore[attr-defined]


def _parts(request: HttpRequest, found: Overview) -> dict[str, object]:
    """Return the parts that change, and a content_hash by which the page knows them again."""
    above = live.part("dashboards/_summary.html", {"found": found}, request)
    below = live.part("dashboards/_details.html", {"found": found}, request)
    return {
        "found": found,
        "above": above,
        "below": below,
        "content_hash": live.content_hash(above, below),
    }


@staff_only
@never_cache
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show how the shop is."""
    name = _range(request)
    if name is None:
        return _no_such_range(request)
    found = overview(name, timezone.now())
    _not_counted(request)
    context = {**_parts(request, found), "ranges": RANGES}
    return render(request, "dashboards/dashboard.html", context)


@staff_only
@never_cache
@require_safe
def poll(request: HttpRequest) -> HttpResponse:
    """Answer the page's question whether anything is new; 204 leaves it as it is."""
    name = _range(request)
    if name is None:
        return _no_such_range(request)
    context = _parts(request, overview(name, timezone.now()))
    _not_counted(request)
    return live.poll(request, "dashboards/_live.html", context)


@staff_only
@never_cache
@require_safe
def download(request: HttpRequest) -> HttpResponse:
    """Answer with the range's steps as a CSV file."""
    name = _range(request)
    if name is None:
        return _no_such_range(request)
    now = timezone.now()
    body = as_csv(numbers(time_range(name, now), now))
    _not_counted(request)
    return HttpResponse(
        body,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="vitrine-{name}-{now:%Y%m%d}.csv"'},
    )


@staff_or_token
@require_safe
def api(request: HttpRequest) -> HttpResponse:
    """Answer with the numbers as JSON (docs/api.md); 304 if whoever asks has them already."""
    days = request.GET.get("days", str(USUAL_DAYS))
    if not _DAYS.fullmatch(days):
        return problem(
            request,
            HTTPStatus.BAD_REQUEST,
            title="Invalid number of days",
            message="The parameter days must be a whole number from 1 to 90.",
            as_json=True,
        )
    now = timezone.now()
    body, content_hash = as_json(numbers(days_range(int(days), now), now), int(days))
    _not_counted(request)
    response = HttpResponse(body, content_type="application/json")
    etag = f'W/"{content_hash}"'
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Authorization", "Cookie"])
    answer = get_conditional_response(request, etag=etag, response=response)
    return answer or response

"""The quality scenarios as a page and as JSON."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from quality import selectors
from retail.web import live
from retail.web.access import exclude_from_metrics, staff_only, staff_or_token
from retail.web.problems import problem

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from quality.selectors import Board, ShownScenario, Trend

VERSION = 1  # of the JSON; raised if a field is removed or changes its meaning
CHOICES = {"": selectors.DAYS[0], **{str(days): days for days in selectors.DAYS}}


def _board(request: HttpRequest) -> Board | None:
    """Evaluate the scenarios over the requested days; None if the number is invalid."""
    days = CHOICES.get(request.GET.get("days", ""))
    board = selectors.board(days=days, now=timezone.now()) if days else None
    exclude_from_metrics(request)
    return board


def _invalid_days(request: HttpRequest, *, as_json: bool = False) -> HttpResponse:
    return problem(
        request,
        HTTPStatus.BAD_REQUEST,
        title="Invalid number of days",
        message=f"The parameter days must be one of {', '.join(map(str, selectors.DAYS))}.",
        as_json=as_json,
    )


def _context(request: HttpRequest, board: Board) -> dict[str, object]:
    """Return the rendered board and its hash, by which the page detects changes."""
    body = live.part("quality/_board.html", {"board": board}, request)
    return {"board": board, "body": body, "content_hash": live.content_hash(body)}


@staff_only
@never_cache
@require_safe
def _page(request: HttpRequest) -> HttpResponse:
    board = _board(request)
    if board is None:
        return _invalid_days(request)
    context = {**_context(request, board), "all_days": selectors.DAYS}
    return render(request, "quality/scenarios.html", context)


@staff_only
@never_cache
@require_safe
def scenarios_list(request: HttpRequest) -> HttpResponse:
    """Return the board, or 204 if it has not changed."""
    board = _board(request)
    if board is None:
        return _invalid_days(request)
    return live.poll(request, "quality/_scenarios.html", _context(request, board))


@staff_or_token
@never_cache
@require_safe
def scenarios_json(request: HttpRequest) -> HttpResponse:
    """Return the scenarios and their verdicts as JSON."""
    board = _board(request)
    return JsonResponse(_document(board)) if board else _invalid_days(request, as_json=True)


def scenarios(request: HttpRequest) -> HttpResponseBase:
    """Show the scenarios; `?format=json` returns them as JSON."""
    if request.GET.get("format") == "json":
        return scenarios_json(request)
    return _page(request)


def _document(board: Board) -> dict[str, Any]:
    return {
        "version": VERSION,
        "window": {
            "days": board.days,
            "since": board.span.since.isoformat(),
            "until": board.span.until.isoformat(),
        },
        "counts": board.counts,
        "scenarios": [_scenario(shown) for shown in board.shown],
    }


def _scenario(shown: ShownScenario) -> dict[str, Any]:
    scenario, evaluation = shown.scenario, shown.evaluation
    return {
        "id": scenario.id,
        "title": scenario.title,
        "quality": scenario.quality,
        **{name.lower().replace(" ", "_"): text for name, text in scenario.parts},
        "verdict": evaluation.verdict.value,
        "reason": scenario.missing_reason,
        "measures": [measure.document for measure in evaluation.measures],
        "evidence": scenario.evidence,
        "queries": [{"language": language, "text": text} for language, text in shown.queries],
        "tests": scenario.proofs,
        "runbooks": scenario.runbooks,
        "trend": _trend(shown.trend) if shown.trend else None,
    }


def _trend(trend: Trend) -> dict[str, Any]:
    return {
        "verdict": trend.verdict or None,
        "since": trend.since.isoformat() if trend.since else None,
        "passed_percent": trend.passed_percent,
    }

"""The page of the quality scenarios, and the same as JSON."""

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
from retail.web.access import staff_only, staff_or_token
from retail.web.problems import problem

if TYPE_CHECKING:
    from django.http import HttpRequest

    from quality.selectors import Board, ShownScenario, Trend

VERSION = 1  # of the JSON; a number or name that goes or changes its meaning raises it
CHOICES = {"": selectors.DAYS[0], **{str(days): days for days in selectors.DAYS}}


def _board(request: HttpRequest) -> Board | None:
    """Return the board of the days that the address names, None if there is no such."""
    days = CHOICES.get(request.GET.get("days", ""))
    board = selectors.board(days=days, now=timezone.now()) if days else None
    # Who looks on is no visitor: the page asks again and again, and would better every average.
    request.uncounted = True  # type: ignore[attr-defined]  # read by ObservabilityMiddleware
    return board


def _no_such_days(request: HttpRequest, *, as_json: bool = False) -> HttpResponse:
    return problem(
        request,
        HTTPStatus.BAD_REQUEST,
        title="So many days are not judged",
        message=f"The parameter days must be one of {', '.join(map(str, selectors.DAYS))}.",
        as_json=as_json,
    )


def _parts(request: HttpRequest, board: Board) -> dict[str, object]:
    """Return the part that changes, and a content_hash by which the page knows it again."""
    body = live.part("quality/_board.html", {"board": board}, request)
    return {"board": board, "body": body, "content_hash": live.content_hash(body)}


@staff_only
@never_cache
@require_safe
def _page(request: HttpRequest) -> HttpResponse:
    board = _board(request)
    if board is None:
        return _no_such_days(request)
    context = {**_parts(request, board), "all_days": selectors.DAYS}
    return render(request, "quality/scenarios.html", context)


@staff_only
@never_cache
@require_safe
def scenarios_list(request: HttpRequest) -> HttpResponse:
    """Answer the page's question whether anything is new; 204 leaves it as it is."""
    board = _board(request)
    if board is None:
        return _no_such_days(request)
    return live.poll(request, "quality/_scenarios.html", _parts(request, board))


@staff_or_token
@never_cache
@require_safe
def scenarios_json(request: HttpRequest) -> HttpResponse:
    """Tell the scenarios and their verdicts to programs."""
    board = _board(request)
    return JsonResponse(_told(board)) if board else _no_such_days(request, as_json=True)


def scenarios(request: HttpRequest) -> HttpResponse:
    """Show the scenarios; with `?format=json` tell them."""
    if request.GET.get("format") == "json":
        return scenarios_json(request)
    return _page(request)


def _told(board: Board) -> dict[str, Any]:
    return {
        "version": VERSION,
        "window": {
            "days": board.days,
            "since": board.span.since.isoformat(),
            "until": board.span.until.isoformat(),
        },
        "counts": board.counts,
        "scenarios": [_scenario(one) for one in board.shown],
    }


def _scenario(shown: ShownScenario) -> dict[str, Any]:
    scenario, judgement = shown.scenario, shown.judgement
    return {
        "id": scenario.id,
        "title": scenario.title,
        "quality": scenario.quality,
        **{name.lower().replace(" ", "_"): text for name, text in scenario.parts},
        "verdict": judgement.verdict.value,
        "reason": scenario.missing_reason,
        "measures": [
            {
                "name": one.name,
                "value": one.value,
                "unit": one.unit,
                "promise": one.promise,
                "kept": one.kept,
                "note": one.note,
            }
            for one in judgement.measures
        ],
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

"""Staff's page of a file: what became of it, what it would change, and what to do with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from partner_feeds import progress, reject_file, selectors, services
from partner_feeds.desk import MAY_DECIDE, MAY_LOOK
from partner_feeds.forms import ReasonForm
from partner_feeds.gate import effect_of
from partner_feeds.models import Ingestion
from partner_feeds.services import IngestionRefusedError
from partner_feeds.tasks import continue_feed
from retail.web import live
from retail.web.access import exclude_from_metrics
from retail.web.desk import act, desk_page, history, require
from retail.web.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from django.http import HttpRequest, QueryDict
    from django.http.response import HttpResponseBase

_Status = Ingestion.Status
_DAY = 24 * 60 * 60


def _found(reference: str) -> Ingestion:
    rows = Ingestion.objects.select_related(
        *("partner", "started_by", "applied_by", "takes_back", "taken_back_by")
    )
    return get_object_or_404(rows, reference=reference)


def _live(
    request: HttpRequest, ingestion: Ingestion, now: datetime, mark: progress.Mark | None
) -> dict[str, object]:
    """Return the rendered progress and its hash, by which the page detects changes."""
    shown = {"ingestion": ingestion, "progress": progress.progress_of(ingestion, now, mark)}
    body = live.part("partner_feeds/desk/_progress_now.html", shown, request)
    return {
        "ingestion": ingestion,
        "mark": mark or progress.mark_of(ingestion, now),
        "body": body,
        "content_hash": live.content_hash(body),
    }


def _page(
    request: HttpRequest,
    reference: str,
    form: ReasonForm | None = None,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    """Show a file as it is now; with a form that was sent."""
    ingestion, now = _found(reference), timezone.now()
    context: dict[str, Any] = {
        "now": now,
        "ingestion": ingestion,
        "partner": ingestion.partner,
        "currency": settings.CURRENCY,
        "running": ingestion.status in selectors.RUNNING,
        "codes": selectors.rejected_by_code(ingestion),
        "rejects": selectors.first_rejects(ingestion),
        "form": form or ReasonForm(),
        "error": error,
        "history": history(ingestion),
    }
    if context["running"]:
        context |= _live(request, ingestion, now, None)
    elif ingestion.status == _Status.HELD:
        context |= {
            "effect": effect_of(ingestion),
            "price_changes": selectors.largest_price_changes(ingestion),
            "sell_outs": selectors.sell_outs(ingestion),
            "distribution": selectors.price_distribution(ingestion),
        }
    elif ingestion.status == _Status.DONE and ingestion.finished_at:
        context["no_take_back"] = services.no_take_back(ingestion)
        context["take_back_until"] = ingestion.finished_at + services.TAKE_BACK_WITHIN
    return render(request, "partner_feeds/desk/ingestion.html", context, status=status)


def _mark(ingestion: Ingestion, sent: QueryDict, now: datetime) -> progress.Mark | None:
    """Return how far the file was when the page was opened; None if it was in another status."""
    status, done, at = (sent.get(name, "") for name in ("status", "done", "at"))
    try:
        mark = progress.Mark(status, int(done), float(at))
    except ValueError:
        return None
    fits = mark.status == ingestion.status and 0 <= mark.done <= progress.done_of(ingestion)
    return mark if fits and 0 <= now.timestamp() - mark.at < _DAY else None


@desk_page(MAY_LOOK)
def ingestion_progress(request: HttpRequest, reference: str) -> HttpResponse:
    """Return the progress, or 204 if it has not changed; let the page reload at the end."""
    ingestion, now = _found(reference), timezone.now()
    if ingestion.status not in selectors.RUNNING:
        exclude_from_metrics(request)
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    context = _live(request, ingestion, now, _mark(ingestion, request.GET, now))
    return live.poll(request, "partner_feeds/desk/_progress.html", context)


def _apply(request: HttpRequest, ingestion: Ingestion, reason: str) -> Ingestion:
    def action() -> None:
        services.apply_anyway(ingestion, user_id=request.user.pk, reason=reason)
        continue_feed.enqueue(ingestion.pk)

    act(request, ingestion, action, f"Applied anyway: {reason}")
    return ingestion


def _discard(request: HttpRequest, ingestion: Ingestion, reason: str) -> Ingestion:
    discard = partial(services.discard, ingestion, reason=reason)
    act(request, ingestion, discard, f"Discarded: {reason}")
    return ingestion


def _take_back(request: HttpRequest, ingestion: Ingestion, _reason: str) -> Ingestion:
    def action() -> Ingestion:
        back = services.take_back(ingestion, user_id=request.user.pk)
        continue_feed.enqueue(back.pk)
        return back

    return act(request, ingestion, action, "Taken back.")


ACTIONS: dict[str, Callable[[HttpRequest, Ingestion, str], Ingestion]] = {
    "apply": _apply,
    "discard": _discard,
    "take_back": _take_back,
}


@desk_page(MAY_LOOK, "POST")
def one_ingestion(request: HttpRequest, reference: str) -> HttpResponse:
    """Show a file; on POST, do what the button says."""
    if request.method != "POST":
        return _page(request, reference)
    require(request, MAY_DECIDE)
    ingestion = _found(reference)
    if (action := request.POST.get("action", "")) not in ACTIONS:
        return problem(request, 400)
    form, reason = None, ""
    if action != "take_back":
        form = ReasonForm(request.POST)
        if not form.is_valid():
            return _page(request, reference, form, status=400)
        reason = form.cleaned_data["reason"]
    try:
        after = ACTIONS[action](request, ingestion, reason)
    except IngestionRefusedError as error:
        return _page(request, reference, form, str(error), status=409)
    return redirect("partner_feeds:desk_ingestion", after.reference)


@desk_page(MAY_LOOK)
def rejects(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Send the rejected rows as CSV."""
    del request
    ingestion = _found(reference)
    return StreamingHttpResponse(
        reject_file.lines_of(ingestion),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{ingestion.reference}.csv"'},
    )

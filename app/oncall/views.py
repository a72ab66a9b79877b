"""Pages for staff: alerts and runbooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from oncall import runbooks, selectors
from oncall.models import Alert
from retail.web import live
from retail.web.access import staff_only

if TYPE_CHECKING:
    from django.http import HttpRequest


def _list(request: HttpRequest) -> dict[str, object]:
    """Return the list as it is now, and a content_hash by which the page knows it again."""
    found = selectors.alerts_now(now=timezone.now())
    body = live.part("oncall/_alerts_summary.html", {"found": found}, request)
    return {"found": found, "body": body, "content_hash": live.content_hash(body)}


@staff_only
@never_cache
@require_safe
def alerts(request: HttpRequest) -> HttpResponse:
    """Show what fires and what ended lately."""
    return render(request, "oncall/alerts.html", _list(request))


@staff_only
@never_cache
@require_safe
def alerts_list(request: HttpRequest) -> HttpResponse:
    """Answer the page's question whether anything is new; 204 leaves it as it is."""
    return live.poll(request, "oncall/_alerts.html", _list(request))


@staff_only
@require_safe
def runbook_list(request: HttpRequest) -> HttpResponse:
    """Show which alerts have a runbook, and which of them fire."""
    firing = Alert.objects.filter(status=Alert.Status.FIRING).values_list("name", flat=True)
    found = set(firing)
    shown = [(name, name in found) for name in runbooks.names()]
    return render(request, "oncall/runbook_list.html", {"runbooks": shown})


@staff_only
@require_safe
def runbook(request: HttpRequest, alert: str) -> HttpResponse:
    """Show the runbook of an alert."""
    text = runbooks.text(alert)
    if text is None:
        raise Http404(alert)
    body = mark_safe(runbooks.html(text))  # noqa: S308 - made with HTML off
    return render(
        request,
        "oncall/runbook.html",
        {"alert": alert, "body": body, "titled": "<h1>" in body},
    )

"""Staff pages: alerts and runbooks."""

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
from retail.health import health
from retail.web import live
from retail.web.access import staff_only

if TYPE_CHECKING:
    from django.http import HttpRequest


def _context(request: HttpRequest) -> dict[str, object]:
    """Return the rendered list and its hash, by which the page detects changes."""
    now = timezone.now()
    alerts = selectors.alerts_now(now=now, checks=health(now))
    body = live.part("oncall/_alerts_summary.html", {"alerts": alerts}, request)
    return {"alerts": alerts, "body": body, "content_hash": live.content_hash(body)}


@staff_only
@never_cache
@require_safe
def alerts(request: HttpRequest) -> HttpResponse:
    """Show firing and recently resolved alerts."""
    return render(request, "oncall/alerts.html", _context(request))


@staff_only
@never_cache
@require_safe
def alerts_list(request: HttpRequest) -> HttpResponse:
    """Return the list, or 204 if it has not changed."""
    return live.poll(request, "oncall/_alerts.html", _context(request))


@staff_only
@require_safe
def runbook_list(request: HttpRequest) -> HttpResponse:
    """List the runbooks, marking those of firing alerts."""
    alerts = Alert.objects.filter(status=Alert.Status.FIRING)
    firing = set(alerts.values_list("name", flat=True))
    shown = [(name, name in firing) for name in runbooks.names()]
    return render(request, "oncall/runbook_list.html", {"runbooks": shown})


@staff_only
@require_safe
def runbook(request: HttpRequest, alert: str) -> HttpResponse:
    """Show an alert's runbook."""
    text = runbooks.text(alert)
    if text is None:
        raise Http404(alert)
    body = mark_safe(runbooks.html(text))  # noqa: S308 - rendered with HTML off
    return render(
        request,
        "oncall/runbook.html",
        {"alert": alert, "body": body, "titled": "<h1>" in body},
    )

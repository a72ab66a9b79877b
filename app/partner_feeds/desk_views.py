"""Staff's pages: all partners, and one partner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.paginator import Paginator
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from partner_feeds import selectors
from partner_feeds.desk import MAY_DECIDE, MAY_LOOK, PAGE_SIZE
from partner_feeds.forms import UploadForm
from partner_feeds.gate import limits_of
from partner_feeds.models import Partner
from partner_feeds.progress import progress_of
from partner_feeds.services import IngestionRefusedError
from partner_feeds.tasks import fetch_now
from retail.web import live
from retail.web.desk import act, desk_page, history, require
from retail.web.problems import problem

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


def _list(request: HttpRequest) -> dict[str, object]:
    """Return the rendered list and its hash, by which the page detects changes."""
    now = timezone.now()
    rows = [
        (row, progress_of(row.open, now) if row.open else None) for row in selectors.deliveries(now)
    ]
    body = live.part("partner_feeds/desk/_partners.html", {"rows": rows, "now": now}, request)
    return {"body": body, "content_hash": live.content_hash(body)}


@desk_page(MAY_LOOK)
def partners(request: HttpRequest) -> HttpResponse:
    """Show all partners: what is held first, then what runs, then who is late."""
    return render(request, "partner_feeds/desk/partners.html", _list(request))


@desk_page(MAY_LOOK)
def partners_list(request: HttpRequest) -> HttpResponse:
    """Return the list, or 204 if it has not changed."""
    return live.poll(request, "partner_feeds/desk/_list.html", _list(request))


def found(slug: str) -> Partner:
    """Return a partner. Raises Http404 for others."""
    return get_object_or_404(Partner.objects.select_related("category"), slug=slug)


def upload_form(partner: Partner, *sent: Any) -> UploadForm:
    """Return the form for a partner's file."""
    most = min(partner.options().limits.packed_bytes, settings.UPLOAD_MOST_BYTES)
    return UploadForm(*sent, most_bytes=most)


def partner_page(
    request: HttpRequest,
    partner: Partner,
    form: UploadForm | None = None,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    """Show a partner as it is now; with a form that was sent."""
    now = timezone.now()
    [delivery] = selectors.deliveries(now, Partner.objects.filter(pk=partner.pk))
    files = Paginator(partner.ingestions.order_by("-created_at", "-pk"), PAGE_SIZE)
    context = {
        "now": now,
        "partner": partner,
        "delivery": delivery,
        "limits": limits_of(partner),
        "packed_bytes": partner.options().limits.packed_bytes,
        "form": form or upload_form(partner),
        "error": error,
        "page_obj": files.get_page(request.GET.get("page")),
        "history": history(partner),
    }
    return render(request, "partner_feeds/desk/partner.html", context, status=status)


def _fetch(request: HttpRequest, partner: Partner) -> HttpResponse:
    """Let the worker fetch the partner's file now."""
    user_id = request.user.pk
    try:
        act(request, partner, lambda: fetch_now(partner, user_id=user_id), "Fetch requested.")
    except IngestionRefusedError as error:
        return partner_page(request, partner, error=str(error), status=409)
    return redirect("partner_feeds:desk_partner", partner.slug)


@desk_page(MAY_LOOK, "POST")
def one_partner(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a partner: its settings and files; on POST, fetch its file."""
    if request.method != "POST":
        return partner_page(request, found(slug))
    require(request, MAY_DECIDE)
    partner = found(slug)
    if request.POST.get("action") != "fetch":
        return problem(request, 400)
    return _fetch(request, partner)

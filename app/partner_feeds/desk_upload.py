"""Staff upload a partner's file: to be taken in, or to see what would come of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from partner_feeds import intake
from partner_feeds.desk import MAY_DECIDE, TRIAL_ROWS, TRIAL_SECONDS
from partner_feeds.desk_views import found, partner_page, upload_form
from partner_feeds.models import Ingestion
from partner_feeds.services import IngestionRefusedError
from partner_feeds.tasks import continue_feed
from partner_feeds.trial import MOST_KEYS, try_file
from retail.web.desk import act, desk_page
from retail.web.problems import problem
from retail.web.uploads import takes_large_bodies

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

    from partner_feeds.models import Partner


def _take_in(request: HttpRequest, partner: Partner, file: Any) -> HttpResponse:
    """Store the file for the worker, and go to its page."""
    upload = Ingestion.Origin.UPLOAD
    ingestion = intake.receive(partner, file, origin=upload, started_by_id=request.user.pk)
    enqueue = partial(continue_feed.enqueue, ingestion.pk)
    if ingestion.status == Ingestion.Status.READING:
        # A worker also finds it if this process ends here.
        act(request, ingestion, enqueue, f"Uploaded {file.size:,} bytes.")
    return redirect("partner_feeds:desk_ingestion", ingestion.reference)


def _try(request: HttpRequest, partner: Partner, file: Any) -> HttpResponse:
    """Show what would come of the file."""
    trial = try_file(partner, file, most_rows=TRIAL_ROWS, seconds=TRIAL_SECONDS)
    context = {
        "partner": partner,
        "trial": trial,
        "codes": trial.codes.most_common(),
        "most_keys": MOST_KEYS,
    }
    return render(request, "partner_feeds/desk/trial.html", context)


ACTIONS: dict[str, Callable[[HttpRequest, Partner, Any], HttpResponse]] = {
    "take_in": _take_in,
    "try": _try,
}


@csrf_protect
def _uploaded(request: HttpRequest, slug: str) -> HttpResponse:
    partner = found(slug)
    if (action := request.POST.get("action", "")) not in ACTIONS:
        return problem(request, 400)
    form = upload_form(partner, request.POST, request.FILES)
    if not form.is_valid():
        return partner_page(request, partner, form, status=400)
    try:
        return ACTIONS[action](request, partner, form.cleaned_data["file"])
    except IngestionRefusedError as error:
        return partner_page(request, partner, form, str(error), status=409)


# The token is in the body, whose file is kept on disk: so it is checked once that is arranged.
@csrf_exempt
@takes_large_bodies
@desk_page(MAY_DECIDE, "POST")
def upload(request: HttpRequest, slug: str) -> HttpResponse:
    """Take in a partner's file, or test it; on GET, go to the partner's page."""
    if request.method != "POST":
        return redirect("partner_feeds:desk_partner", slug)
    request.upload_handlers = [TemporaryFileUploadHandler(request)]
    return _uploaded(request, slug)

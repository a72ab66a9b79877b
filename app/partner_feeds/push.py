"""POST /feeds/<partner>/: a partner sends its file, with a key (docs/feeds.md)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpResponse, JsonResponse, UnreadablePostError
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from partner_feeds import files, intake
from partner_feeds.events import logger
from partner_feeds.models import Ingestion
from partner_feeds.push_keys import partner_with
from partner_feeds.tasks import continue_feed
from partner_feeds.transitions import IngestionRefusedError
from retail.throttling import ThrottledError, give_back, throttle
from retail.web.client import client_key
from retail.web.problems import problem
from retail.web.uploads import takes_large_bodies

if TYPE_CHECKING:
    from typing import BinaryIO

    from django.http import HttpRequest

    from partner_feeds.models import Partner

KEY_SCOPE = "feed_key"
PUSH_SCOPE = "feed_push"
MINUTE = 60
FAILED_KEYS = 20  # a minute, of one client network
PUSHES = 10  # a minute, of one partner
CHUNK = 64 * 1024
SHOWN_REJECTS = 100
COUNTS = ("rows", "created", "updated", "unchanged", "rejected", "absent")
_Status = Ingestion.Status


@csrf_exempt  # a key, not a cookie, says who it is
@takes_large_bodies
@require_POST
def receive(request: HttpRequest, slug: str) -> HttpResponse:
    """Store the body as the partner's file, for the worker to read."""
    partner = _partner(request, slug)
    if isinstance(partner, HttpResponse):
        return partner
    refused = _refused_length(request, partner)
    if refused is not None:
        return refused
    try:
        throttle(PUSH_SCOPE, [partner.slug], limit=PUSHES, seconds=MINUTE, user_id=None)
    except ThrottledError as error:
        return _too_many(request, error)
    with files.temporary() as file:
        if not _whole_body(request, file):
            return _problem(
                request,
                HTTPStatus.BAD_REQUEST,
                message="The body has ended before its Content-Length. Send the file again.",
            )
        try:
            ingestion = intake.receive(partner, file, origin=Ingestion.Origin.PUSH)
        except IngestionRefusedError as error:
            return _problem(request, HTTPStatus.CONFLICT, message=f"{error} Try again later.")
    is_new = ingestion.status == _Status.READING
    if is_new:
        continue_feed.enqueue(ingestion.pk)
    status = HTTPStatus.ACCEPTED if is_new else HTTPStatus.OK
    return JsonResponse(_summary(request, ingestion), status=status)


@require_safe
def status(request: HttpRequest, slug: str, reference: str) -> HttpResponse:
    """Return what became of a partner's file, with the first of its rejected rows."""
    partner = _partner(request, slug)
    if isinstance(partner, HttpResponse):
        return partner
    ingestion = partner.ingestions.filter(reference=reference.upper()).first()
    if ingestion is None:
        return _problem(
            request,
            HTTPStatus.NOT_FOUND,
            title="No such file",
            message=f"{partner} has no file with this reference.",
        )
    rejects = ingestion.rejects.order_by("line", "pk").values("line", "code", "sentence")
    result: dict[str, Any] = {
        **_summary(request, ingestion),
        **{name: getattr(ingestion, name) for name in COUNTS},
        "code": ingestion.code,
        "problem": ingestion.problem,
        "held_for": ingestion.held_for,
        "rejected_by_code": ingestion.rejected_by_code,
        "rejected_rows": list(rejects[:SHOWN_REJECTS]),
        "received_at": ingestion.created_at,
        "finished_at": ingestion.finished_at,
    }
    return JsonResponse(result)


def _problem(request: HttpRequest, status: HTTPStatus, **options: Any) -> HttpResponse:
    return problem(request, status, as_json=True, **options)


def _too_many(request: HttpRequest, error: ThrottledError) -> HttpResponse:
    return _problem(
        request,
        HTTPStatus.TOO_MANY_REQUESTS,
        message=f"Try again in {error.wait}.",
        headers={"Retry-After": str(error.retry_after)},
    )


def _partner(request: HttpRequest, slug: str) -> Partner | HttpResponse:
    """Return the partner whose key the request has, or a refusal that does not say why.

    An attempt is counted before its key is looked up, so that none slips through meanwhile.
    """
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    client = client_key(request)
    try:
        throttle(KEY_SCOPE, [client], limit=FAILED_KEYS, seconds=MINUTE, user_id=None)
    except ThrottledError as error:
        return _too_many(request, error)
    partner = partner_with(secret.strip(), slug) if scheme.lower() == "bearer" else None
    if partner is not None:
        give_back(KEY_SCOPE, [client], seconds=MINUTE)
        return partner
    logger.warning("event=feed.key_refused", extra={"client": client})
    return _problem(
        request,
        HTTPStatus.UNAUTHORIZED,
        message="Send a valid key of this partner as a bearer token.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _refused_length(request: HttpRequest, partner: Partner) -> HttpResponse | None:
    """Return a refusal if the body's length is unknown, none, or more than may be sent."""
    if not request.META.get("CONTENT_LENGTH"):
        return _problem(request, HTTPStatus.LENGTH_REQUIRED)
    length = int(request.META["CONTENT_LENGTH"])
    if not length:
        return _problem(request, HTTPStatus.BAD_REQUEST, message="Send the file as the body.")
    most = min(partner.options().limits.packed_bytes, settings.UPLOAD_MOST_BYTES)
    if length > most:
        return _problem(
            request,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            message=f"Send at most {most:,} bytes. Files may be packed with gzip.",
        )
    return None


def _whole_body(request: HttpRequest, file: BinaryIO) -> bool:
    """Write the body to a file; return whether all of it has arrived."""
    left = int(request.META["CONTENT_LENGTH"])
    try:
        while left and (chunk := request.read(min(left, CHUNK))):
            file.write(chunk)
            left -= len(chunk)
    except UnreadablePostError:
        return False
    file.seek(0)
    return not left


def _summary(request: HttpRequest, ingestion: Ingestion) -> dict[str, Any]:
    path = reverse("partner_feeds:pushed", args=[ingestion.partner.slug, ingestion.reference])
    return {
        "reference": ingestion.reference,
        "status": ingestion.status,
        "url": request.build_absolute_uri(path),
    }

"""Staff's page of the keys with which a partner sends its files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from django.db import transaction
from django.shortcuts import redirect, render

from partner_feeds.desk import MAY_CHANGE
from partner_feeds.desk_views import found
from partner_feeds.models import Partner
from partner_feeds.services import push_key_create, push_key_revoke
from retail.web.desk import act, desk_page
from retail.web.problems import problem
from retail.web.public_url import public_address

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from partner_feeds.models import PushKey


CHANGED = (
    "Nothing was created: these keys have changed since the page was opened. If you pressed the "
    "button twice and did not see the new key, revoke it and create another."
)


class New(NamedTuple):
    """A key that was just created, and its secret."""

    key: PushKey
    secret: str


def _page(
    request: HttpRequest, partner: Partner, new: New | None = None, error: str = ""
) -> HttpResponse:
    keys = partner.push_keys.select_related("created_by")
    scheme, host = public_address(request)
    context = {
        "partner": partner,
        "valid": keys.filter(revoked_at=None),
        "revoked": keys.exclude(revoked_at=None),
        "address": f"{scheme}://{host}",
        "seen": partner.push_keys.count(),
        "new": new,
        "error": error,
    }
    status = 409 if error else 200
    return render(request, "partner_feeds/desk/keys.html", context, status=status)


@transaction.atomic
def _create(request: HttpRequest, partner: Partner) -> HttpResponse:
    """Create a key and show it, in this answer only. A form that is sent twice creates one."""
    user_id = request.user.pk
    Partner.objects.select_for_update().get(pk=partner.pk)
    if request.POST.get("seen") != str(partner.push_keys.count()):
        return _page(request, partner, error=CHANGED)
    create = partial(push_key_create, partner, user_id=user_id)
    return _page(request, partner, New(*act(request, partner, create, "API key created.")))


def _revoke(request: HttpRequest, partner: Partner) -> HttpResponse:
    sent = request.POST.get("key", "")
    key = next((key for key in partner.push_keys.all() if str(key.pk) == sent), None)
    if key is None:
        return problem(request, 404)
    if key.revoked_at:
        return _page(request, partner, error=f"The key {key} was revoked before.")
    user_id = request.user.pk
    done = f"API key {key} revoked."
    act(request, partner, lambda: push_key_revoke(key, user_id=user_id), done)
    return redirect("partner_feeds:desk_keys", partner.slug)


ACTIONS = {"create": _create, "revoke": _revoke}


@desk_page(MAY_CHANGE, "POST")
def keys(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a partner's keys; on POST, create or revoke one."""
    partner = found(slug)
    if request.method != "POST":
        return _page(request, partner)
    if (action := request.POST.get("action", "")) not in ACTIONS:
        return problem(request, 400)
    return ACTIONS[action](request, partner)

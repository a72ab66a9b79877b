"""E-mails that confirm an address, and notices to the former one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.addresses import (
    account_of,
    address_key,
    address_pend,
    address_withdraw,
    normalized,
    tokens,
)
from accounts.models import EmailAddress
from retail.mail.kinds import Content, EmailKind
from retail.throttling import is_within, throttle
from retail.web.client import client_key
from retail.web.public_url import public_address

if TYPE_CHECKING:
    from django.http import HttpRequest

    from retail.models import Email


def _confirmation(email: Email) -> Content | None:
    """Compose the e-mail with a link made now, or, to the owner of the address, without one."""
    rows = EmailAddress.objects.select_related("user").exclude(pending="")
    row = rows.filter(user=int(email.about), user__is_active=True).first()
    if row is None:
        return None
    context = {**email.context, "user": row.user, "shop_name": settings.SHOP_NAME}
    owner = account_of(row.pending)
    if owner is not None and owner != row.user:
        text = render_to_string("accounts/address_taken_email.txt", {**context, "owner": owner})
        return Content(owner.email, f"You already have a {settings.SHOP_NAME} account", text)
    context |= {
        "uid": urlsafe_base64_encode(force_bytes(row.user.pk)),
        "token": tokens.make_token(row),  # type: ignore[arg-type]
    }
    text = render_to_string("accounts/confirm_address_email.txt", context)
    return Content(row.pending, f"Confirm your e-mail address at {settings.SHOP_NAME}", text)


def _notice(email: Email) -> Content | None:
    """Compose a notice to an address that was the account's when the notice was written."""
    user = User.objects.filter(pk=email.about).first()
    if user is None:
        return None
    asked = email.kind == CHANGE_ASKED.name
    context = {**email.context, "user": user, "asked": asked, "shop_name": settings.SHOP_NAME}
    text = render_to_string("accounts/email_change_notice.txt", context)
    what = "is about to be" if asked else "was"
    return Content(
        email.context["address"], f"Your {settings.SHOP_NAME} e-mail address {what} changed", text
    )


CONFIRM = EmailKind("confirm_address", _confirmation)
CHANGE_ASKED = EmailKind("email_change_asked", _notice)
CHANGED = EmailKind("email_changed", _notice)


def links_to(request: HttpRequest) -> dict[str, str]:
    """Return what an e-mail's context needs to link to the shop."""
    scheme, host = public_address(request)
    return {"protocol": scheme, "domain": host}


def throttle_letters(
    request: HttpRequest, scope: str, account: str, *, user_id: int | None = None
) -> None:
    """Count an e-mail for the client and the account. Raises ThrottledError for one too many."""
    limits = {
        f"client:{client_key(request)}": settings.THROTTLE_PASSWORD_RESET_CLIENT_LIMIT,
        account: settings.THROTTLE_PASSWORD_RESET_LIMIT,
    }
    seconds = settings.THROTTLE_PASSWORD_RESET_SECONDS
    for key, limit in limits.items():
        throttle(scope, [key], limit=limit, seconds=seconds, user_id=user_id)


def ask_to_confirm(request: HttpRequest, *, user_id: int, address: str) -> None:
    """Let an address wait for its link, and send that.

    It is not sent to an address that strangers have had written to enough. No page says so, as that
    would tell them about each other.
    """
    address_pend(user_id=user_id, address=address)
    if is_within(
        "confirm_email",
        [f"address:{address_key(address)}"],
        limit=settings.THROTTLE_PASSWORD_RESET_LIMIT,
        seconds=settings.THROTTLE_PASSWORD_RESET_SECONDS,
    ):
        CONFIRM.write(about=str(user_id), **links_to(request))


def changed_by_staff(request: HttpRequest, user: User, *, former: str) -> None:
    """Ask an address to be confirmed that staff have given an account; notify the former one."""
    was_verified = EmailAddress.objects.filter(user=user, verified=normalized(former)).exists()
    address_withdraw(user_id=user.pk)
    if former and was_verified:
        CHANGED.write(about=str(user.pk), address=former, **links_to(request))
    if user.email:
        ask_to_confirm(request, user_id=user.pk, address=user.email)

"""Pages of an account's e-mail address: change it, and confirm it with a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.shortcuts import redirect, render
from django.utils.http import urlsafe_base64_decode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.address_emails import (
    CHANGE_ASKED,
    CHANGED,
    ask_to_confirm,
    links_to,
    throttle_letters,
)
from accounts.addresses import address_confirm, confirmable, pending_address, verified_address
from accounts.own_forms import ChangeEmailForm
from retail.security.trail import record, subject_of
from retail.web.kept_forms import login_required

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.http import HttpRequest, HttpResponse

SCOPE = "confirm_email"
NOT_VALID = 404


def _user(request: HttpRequest) -> User:
    assert request.user.is_authenticated  # noqa: S101 - for the type checker; login_required ensures it
    return request.user


def _to_confirm(user: User) -> str:
    """Return the address that its user should confirm: a new one, or the present one."""
    return pending_address(user_id=user.pk) or ("" if verified_address(user) else user.email)


@login_required()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def email(request: HttpRequest) -> HttpResponse:
    """Show the visitor's address; on POST, ask the new one to be confirmed."""
    user = _user(request)
    form = ChangeEmailForm(request.POST if request.method == "POST" else None, request=request)
    if request.method == "POST" and form.is_valid():
        throttle_letters(request, SCOPE, f"user:{user.pk}", user_id=user.pk)
        address = form.cleaned_data["email"]
        with transaction.atomic():
            if present := verified_address(user):
                CHANGE_ASKED.write(about=str(user.pk), address=present, **links_to(request))
            ask_to_confirm(request, user_id=user.pk, address=address)
            record("email_change_asked", user_id=user.pk, subject=subject_of(user))
        messages.success(request, f"Open the link that we've sent to {address}.")
        return redirect("accounts:email")
    context = {
        "form": form,
        "verified": verified_address(user) is not None,
        "to_confirm": _to_confirm(user),
        "mail_in_files": not settings.EMAIL_HOST and settings.DEBUG,
    }
    return render(request, "accounts/email.html", context, status=400 if form.errors else 200)


@login_required()
@require_POST
def resend(request: HttpRequest) -> HttpResponse:
    """Send the link again."""
    user = _user(request)
    throttle_letters(request, SCOPE, f"user:{user.pk}", user_id=user.pk)
    if address := _to_confirm(user):
        ask_to_confirm(request, user_id=user.pk, address=address)
        messages.success(request, f"Open the link that we've sent to {address}.")
    return redirect("accounts:email")


def _user_id(uidb64: str) -> int | None:
    """Return the id in a link, or None if there is none."""
    try:
        return int(urlsafe_base64_decode(uidb64).decode("ascii")[:18])
    except ValueError:
        return None


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, uidb64: str, token: str) -> HttpResponse:
    """Show whose address a link confirms; on POST, confirm it.

    Mail servers open links to look for harm, so opening one changes nothing.
    """
    user_id = _user_id(uidb64)
    if user_id is not None and request.method == "POST":
        if done := address_confirm(user_id=user_id, token=token):
            user, former = done
            if former:
                CHANGED.write(about=str(user.pk), address=former, **links_to(request))
            messages.success(request, f"{user.email} is confirmed.")
            return redirect("accounts:email" if request.user == user else "products:home")
        user_id = None
    row = confirmable(user_id=user_id, token=token) if user_id is not None else None
    status = 200 if row else NOT_VALID
    return render(request, "accounts/email_confirm.html", {"address": row}, status=status)

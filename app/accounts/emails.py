"""E-mails about accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.template.loader import render_to_string
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.addresses import verified_address
from retail.mail.kinds import Content, EmailKind
from retail.web.public_url import public_address

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest

    from retail.models import Email


def _password_reset(email: Email) -> Content | None:
    """Compose the e-mail with a link made now: no link is stored, and its hour begins now."""
    user = User.objects.filter(pk=email.about, is_active=True).first()
    address = verified_address(user) if user is not None else None
    if user is None or address is None or not user.has_usable_password():
        return None
    context = {
        **email.context,
        "user": user,
        "uid": urlsafe_base64_encode(force_bytes(user.pk)),
        "token": default_token_generator.make_token(user),
        "shop_name": settings.SHOP_NAME,
    }
    subject = render_to_string("accounts/password_reset_subject.txt", context)
    text = render_to_string("accounts/password_reset_email.txt", context)
    return Content(address, " ".join(subject.split()), text)


def _password_changed(email: Email) -> Content | None:
    user = User.objects.filter(pk=email.about).first()
    address = verified_address(user) if user is not None else None
    if address is None:
        return None
    context = {**email.context, "user": user, "shop_name": settings.SHOP_NAME}
    text = render_to_string("accounts/password_changed_email.txt", context)
    return Content(address, f"Your {settings.SHOP_NAME} password was changed", text)


PASSWORD_RESET = EmailKind("password_reset", _password_reset)
PASSWORD_CHANGED = EmailKind("password_changed", _password_changed)


def password_changed(request: HttpRequest, user: AbstractBaseUser) -> None:
    """Notify a user of a new password."""
    scheme, host = public_address(request)
    PASSWORD_CHANGED.write(about=str(user.pk), protocol=scheme, domain=host)

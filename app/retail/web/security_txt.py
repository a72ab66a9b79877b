"""`/.well-known/security.txt`: whom to write to about a vulnerability (RFC 9116)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

if TYPE_CHECKING:
    from django.http import HttpRequest

VALID_FOR = timedelta(days=90)  # RFC 9116 recommends less than a year


@require_safe
def security_txt(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - a view
    """Return the contact in SECURITY_CONTACT. Without one there is no such file."""
    if not settings.SECURITY_CONTACT:
        raise Http404
    expires = (timezone.now() + VALID_FOR).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [
        f"Contact: {settings.SECURITY_CONTACT}",
        f"Expires: {expires:%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages: en",
    ]
    if settings.SHOP_URL:
        lines.append(f"Canonical: {settings.SHOP_URL}/.well-known/security.txt")
    return HttpResponse("\n".join([*lines, ""]), content_type="text/plain; charset=utf-8")

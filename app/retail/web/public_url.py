"""Where links in e-mails lead: never to a host that a stranger has named in a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http.request import split_domain_port

if TYPE_CHECKING:
    from django.http import HttpRequest


class PublicAddress(NamedTuple):
    """The scheme and host of the shop's links, such as `https` and `shop.example.com:8443`."""

    scheme: str
    host: str


def exact_hosts() -> list[str]:
    """Return the entries of ALLOWED_HOSTS that are one host each, not a pattern."""
    return [host for host in settings.ALLOWED_HOSTS if host != "*" and not host.startswith(".")]


def public_address(request: HttpRequest) -> PublicAddress:
    """Return SHOP_URL; without it, the host of the request if ALLOWED_HOSTS has exactly it.

    Any other host is replaced by the first that is allowed, and a port that the server does not
    listen on is left out.
    """
    if settings.SHOP_URL:
        parts = urlsplit(settings.SHOP_URL)
        return PublicAddress(parts.scheme, parts.netloc)
    scheme = request.scheme or "http"
    host, port = split_domain_port(request.get_host())
    allowed = exact_hosts()
    if host not in (name.lower() for name in allowed):
        if not allowed:
            raise DisallowedHost("set SHOP_URL: ALLOWED_HOSTS has patterns only")
        return PublicAddress(scheme, allowed[0])
    own_port = port and port == request.META.get("SERVER_PORT")
    return PublicAddress(scheme, f"{host}:{port}" if own_port else host)

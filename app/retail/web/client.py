"""Who is asking: the client's address, as told by the proxies in TRUSTED_PROXIES.

Anybody can send X-Forwarded-For. Each proxy appends the address that it was called from, so only
the last addresses, those that trusted proxies have appended, are true.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from django.http import HttpRequest

LONGEST_WAIT = 60.0  # seconds; proxies give up before
# Such as nginx's `t=$msec`: seconds since 1970.
_STAMP = re.compile(r"t=([0-9]{10}\.[0-9]{3})")
IPV6_PREFIX = 64  # one household or server gets at least so many addresses


@lru_cache(maxsize=4096)
def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in `1.2.3.4`, `1.2.3.4:80`, `::1` or `[::1]:80`; None for anything else.

    IPv6 addresses lose their zone; those that stand for an IPv4 address become it.
    """
    host, port = text.strip(), "0"
    if host.startswith("["):
        host, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        port = rest[1:] if rest else port
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    if not (port.isascii() and port.isdigit()):
        return None
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=4096)  # by texts: hashing an address takes longer than all the rest
def _peer(text: str, trusted: int | tuple[str, ...]) -> tuple[str, bool]:
    """Return the address that a connection came from, "" if unknown, and whether it is a proxy."""
    address = parse_address(text)
    if isinstance(trusted, int):  # a number of proxies: nothing else can reach the shop
        is_proxy = trusted > 0
    else:
        is_proxy = address is not None and any(address in ip_network(one) for one in trusted)
    return str(address or ""), is_proxy


def is_from_proxy(request: HttpRequest) -> bool:
    """Return whether the request came over a connection from a trusted proxy."""
    return _peer(request.META.get("REMOTE_ADDR", ""), settings.TRUSTED_PROXIES)[1]


def client_address(request: HttpRequest) -> str:
    """Return the client's address; "" for one that is unknown, such as behind a Unix socket.

    If trusted proxies name no valid address, it is the last proxy that has one.
    """
    trusted = settings.TRUSTED_PROXIES
    client, is_proxy = _peer(request.META.get("REMOTE_ADDR", ""), trusted)
    if not is_proxy:
        return client
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if isinstance(trusted, int):
        named = _peer(forwarded[-trusted], trusted)[0] if len(forwarded) >= trusted else ""
        return named or client
    for text in reversed(forwarded):
        named, is_proxy = _peer(text, trusted)
        client = named or client
        if not (named and is_proxy):
            break
    return client


def client_key(request: HttpRequest) -> str:
    """Return what rate limits count clients by: the address, or the /64 network of IPv6."""
    text = client_address(request)
    address = parse_address(text)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return text


def seconds_since_arrival(request: HttpRequest) -> float:
    """Return how long ago a trusted proxy received the request, by X-Request-Start; 0 if unknown.

    A time in the future, or too long ago to be true, is one of a wrong clock.
    """
    stamp = request.META.get("HTTP_X_REQUEST_START")
    if stamp is None or not is_from_proxy(request):
        return 0.0
    found = _STAMP.fullmatch(stamp)
    seconds = time.time() - float(found[1]) if found else 0.0
    return seconds if 0 < seconds < LONGEST_WAIT else 0.0


def ignore_forged(request: HttpRequest) -> None:
    """Remove what only a proxy may say from a request that no trusted proxy has sent."""
    if not is_from_proxy(request):
        request.META.pop("HTTP_X_FORWARDED_PROTO", None)

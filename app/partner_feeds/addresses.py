"""Addresses of partners' files: their parts, and whom they may lead to."""

from __future__ import annotations

import base64
import queue
import socket
import threading
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from django.conf import settings

from partner_feeds.reading.problems import FeedError
from retail.calls import PORTS

if TYPE_CHECKING:
    from ipaddress import IPv4Address

MOST_CHARACTERS = 4000  # of an address
_SAFE = "/%:;=&?~!$'()*+,@[]|"  # what is quoted already stays as it is
# IPv6 addresses that are given to anybody, and what of them is not one host on the internet.
_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
_NEVER = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",  # protocol assignments
            "192.88.99.0/24",  # relays of 6to4
            "2001::/23",  # protocol assignments, Teredo
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)


@dataclass(frozen=True)
class Target:
    """An http or https address, without the user and password in it."""

    scheme: str
    host: str
    port: int
    path: str  # with the query, quoted
    authorization: str = ""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Who answers."""
        return self.scheme, self.host, self.port

    @property
    def url(self) -> str:
        """The address, with the secrets that its query may have. Not to be shown or logged."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def shown_address(address: str) -> str:
    """Return scheme, host and path of an address: what may be shown and logged."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"


def target_of(address: str, *, allow_http: bool) -> Target:
    """Return the parts of an address. Raises FeedError if it is not one to fetch from."""
    if len(address) > MOST_CHARACTERS:
        raise FeedError("bad_address", "The address is too long.")
    try:
        parts = urlsplit(address)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        raise FeedError("bad_address", "The address is not valid.") from None
    if scheme not in PORTS or not host or port == 0:
        raise FeedError("bad_address", "The address is not an http or https address.")
    if scheme == "http" and not allow_http:
        raise FeedError("not_https", f"{host} would be asked without encryption.")
    query = f"?{quote(parts.query, _SAFE)}" if parts.query else ""
    path = f"{quote(parts.path or '/', _SAFE)}{query}"
    return Target(scheme, host, port or PORTS[scheme], path, _basic(parts.username, parts.password))


def _basic(user: str | None, password: str | None) -> str:
    if user is None:
        return ""
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def target_from(target: Target, reference: str, *, allow_http: bool) -> Target:
    """Return where a redirect or a next page leads. Raises FeedError if nobody should go there."""
    try:
        address = urljoin(target.url, reference)
    except ValueError:
        raise FeedError("bad_address", "The server names an address that is not valid.") from None
    return target_of(address, allow_http=allow_http and target.scheme == "http")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is of one host on the internet, for certain."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(ip_address(int(address) & 0xFFFFFFFF))
        if address not in _UNICAST:  # such as one that stands for an IPv4 address
            return False
    forbidden = any(address in network for network in _NEVER if network.version == address.version)
    return address.is_global and not address.is_multicast and not forbidden


def look_up(host: str, port: int) -> list[Any]:
    """Return the addresses of a host, as `getaddrinfo` does, however long that takes."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def addresses_of(target: Target, *, seconds: float) -> list[Any]:
    """Return the socket addresses of a target's host, all of which may be asked.

    Raises FeedError if the host is unknown, not found in time, or has an address that is not
    public.
    """
    found = [entry[4] for entry in _looked_up(target.host, target.port, seconds)]
    if not settings.FEEDS_ALLOW_PRIVATE:
        for address in found:
            if not is_public(ip_address(address[0])):
                raise FeedError(
                    "private_address",
                    f"{target.host} has the address {address[0]}, which is not a public one.",
                )
    return found


def _looked_up(host: str, port: int, seconds: float) -> list[Any]:
    """Look a host up in a thread, since nothing can end it otherwise."""
    answers: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(look_up(host, port))
        except (OSError, UnicodeError):
            answers.put([])

    threading.Thread(target=ask, daemon=True, name="look-up").start()
    try:
        found = answers.get(timeout=seconds)
    except queue.Empty:
        raise FeedError("too_slow", f"The address of {host} was not found in time.") from None
    if not found:
        raise FeedError("unknown_host", f"There is no host {host}.")
    return found

"""Where passkeys can be used: at the shop's public address, by a host name, in a secure context."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from django.core.exceptions import DisallowedHost

from retail.web.public_url import public_address

if TYPE_CHECKING:
    from django.http import HttpRequest


class Site(NamedTuple):
    """What passkeys are bound to: the shop's public address."""

    origin: str
    rp_id: str

    @property
    def problem(self) -> str:
        """Why browsers would refuse passkeys here; "" if they don't."""
        try:
            ipaddress.ip_address(self.rp_id)
        except ValueError:
            pass
        else:
            return "Passkeys need a host name. Open the shop by its name, not by an IP address."
        is_local = self.rp_id == "localhost" or self.rp_id.endswith(".localhost")
        if not (is_local or self.origin.startswith("https://")):
            return "Passkeys need https. This shop is open without it."
        return ""


def site_of(request: HttpRequest) -> Site:
    """Return the shop's address, never one that a stranger has named."""
    scheme, host = public_address(request)
    host = host.lower()
    name = host.rpartition("]")[0].lstrip("[") or host.partition(":")[0]
    return Site(f"{scheme}://{host}", name)


def problem(request: HttpRequest) -> str:
    """Return why passkeys can't be used at the address that the visitor has opened, or ""."""
    try:
        site = site_of(request)
    except DisallowedHost:
        return "Passkeys need the shop's address. Set SHOP_URL."
    if site.problem:
        return site.problem
    if f"{request.scheme}://{request.get_host()}".lower() != site.origin:
        return f"Passkeys work only at {site.origin}. Open the shop there."
    return ""

"""Who is asking."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the client's IP address, or "" if it has none (a Unix socket)."""
    return str(request.META.get("REMOTE_ADDR") or "")

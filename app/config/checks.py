"""Deployment checks: settings that production may have, but hardly should (docs/security.md)."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004 - Django's name

_ON_THIS_MACHINE = {"127.0.0.1", "::1", "localhost"}


@register(Tags.security, deploy=True)
def weak_settings(**_: Any) -> list[CheckMessage]:
    """Name each setting that lets somebody listen in, or is meant for a demo."""
    return list(_weak_settings())


def _weak_settings() -> Iterator[CheckMessage]:
    gateway = urlsplit(settings.GATEWAY_URL)
    if gateway.scheme == "http" and gateway.hostname not in _ON_THIS_MACHINE:
        yield Warning(
            "GATEWAY_URL is not https: card tokens and GATEWAY_API_KEY travel unencrypted.",
            hint="Use https, unless nobody else shares the network to the gateway.",
            id="config.W001",
        )
    if settings.EMAIL_HOST_USER and not settings.EMAIL_USE_TLS:
        yield Warning(
            "EMAIL_USE_TLS is off: the mail server's password travels unencrypted.",
            hint="Set EMAIL_USE_TLS=True.",
            id="config.W002",
        )
    trusted = settings.CSRF_TRUSTED_ORIGINS
    if weak := [origin for origin in trusted if "*" in origin or not origin.startswith("https://")]:
        yield Warning(
            f"CSRF_TRUSTED_ORIGINS trusts {', '.join(weak)}: others may post forms from there.",
            hint="Name each origin, with https.",
            id="config.W003",
        )
    if settings.DEMO:
        yield Warning(
            "DEMO is on: buyers pay with test cards.",
            hint="Unset DEMO, and set GATEWAY_URL to your payment provider's.",
            id="config.W004",
        )
    if not settings.STAFF_MFA:
        yield Warning(
            "STAFF_MFA is off: a password alone is enough to log in as staff.",
            hint="Unset STAFF_MFA.",
            id="config.W005",
        )
    if settings.FEEDS_ALLOW_PRIVATE:
        yield Warning(
            "FEEDS_ALLOW_PRIVATE is on: partners' addresses may lead into the shop's own networks.",
            hint="Unset FEEDS_ALLOW_PRIVATE.",
            id="config.W006",
        )

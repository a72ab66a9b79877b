"""System check: a shop in production is not connected to a gateway simulator."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from payments import provider
from retail.startup import STARTUP


@register(STARTUP, Tags.security, deploy=True)
def gateway_is_no_simulator(**_: Any) -> list[CheckMessage]:
    """Report a gateway that says that it is a simulator; ask only when the shop starts."""
    if not provider.is_simulator():
        return []
    return [
        Error(
            f"The gateway at {settings.GATEWAY_URL} is a simulator: nothing would be paid.",
            hint="Set GATEWAY_URL to your payment provider's, or DEMO=True for a demo.",
            id="payments.E001",
        )
    ]

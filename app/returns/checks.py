"""System check: the lease of refunds, compared with the gateway's timeouts."""

from math import ceil
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from returns import refunding

CALLS = 2  # of one refund: it is looked up, then sent


@register()
def lease_outlasts_a_batch(**_: Any) -> list[CheckMessage]:
    """Report a lease that can end while its refunds are still being sent."""
    call = settings.GATEWAY_CONNECT_TIMEOUT + settings.GATEWAY_READ_TIMEOUT
    longest = ceil(refunding.BATCH / refunding.CONCURRENCY) * CALLS * call
    if longest < settings.PAYMENT_LEASE:
        return []
    return [
        Error(
            f"PAYMENT_LEASE is {settings.PAYMENT_LEASE:g} s, and one batch of refunds can take "
            f"{longest:g} s: a second worker would claim refunds that the first still sends.",
            hint=(
                f"Set PAYMENT_LEASE to more than {ceil(longest)}, or lower GATEWAY_READ_TIMEOUT or "
                "GATEWAY_CONNECT_TIMEOUT."
            ),
            id="returns.E001",
        )
    ]


@register()
def keys_outlive_the_answer(**_: Any) -> list[CheckMessage]:
    """Report a key life in which no lost answer could be asked for again."""
    least = refunding.ON_ITS_WAY.total_seconds()
    if least < settings.GATEWAY_KEY_LIFE:
        return []
    return [
        Error(
            f"GATEWAY_KEY_LIFE is {settings.GATEWAY_KEY_LIFE:g} s: a refund without an answer "
            "would need a person at once.",
            hint=f"Set it to more than {least:g}, and less than the gateway remembers keys.",
            id="returns.E002",
        )
    ]

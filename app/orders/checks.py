"""The lease of a batch of payments is longer than the batch can take."""

from math import ceil
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from orders import recovery
from payments.services import longest_charge


def longest_batch() -> float:
    """Return how many seconds the gateway's answers to one batch of payments can take."""
    return ceil(recovery.BATCH / recovery.CONCURRENCY) * longest_charge()


@register()
def lease_outlasts_a_batch(**_: Any) -> list[CheckMessage]:
    """Report a lease that can end while its payments are still being charged."""
    longest = longest_batch()
    if longest < settings.PAYMENT_LEASE:
        return []
    return [
        Error(
            f"PAYMENT_LEASE is {settings.PAYMENT_LEASE:g} s, and one batch of payments can take "
            f"{longest:g} s: a second worker would claim payments that the first still charges.",
            hint=(
                f"Set PAYMENT_LEASE to more than {ceil(longest)}, or lower GATEWAY_READ_TIMEOUT, "
                "GATEWAY_CONNECT_TIMEOUT or GATEWAY_ATTEMPTS."
            ),
            id="orders.E001",
        )
    ]

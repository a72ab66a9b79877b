"""System checks: the lease of payments, their gateway, and the currency of what is stored."""

from math import ceil
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Warned
from django.db.models import QuerySet

from orders import recovery
from orders.selectors import of_other_gateways, unfinished
from payments.services import longest_charge
from products.models import Product
from retail.health import counted
from retail.startup import startup_check

_CURRENCY_HINT = (
    "Set CURRENCY back. To change it, run manage.py change_currency first, and start with the new "
    "CURRENCY when all payments are settled."
)


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


def _currencies(rows: QuerySet[Any, str]) -> set[str]:
    return set(rows.order_by().distinct())


@startup_check
def stored_prices_are_in_the_shops_currency() -> list[CheckMessage]:
    """Report products and unsettled payments in another currency than CURRENCY."""
    stored = {
        "products": _currencies(Product.objects.values_list("currency", flat=True)),
        "unsettled payments": _currencies(unfinished().values_list("currency", flat=True)),
    }
    return [
        Error(
            f"CURRENCY is {settings.CURRENCY}, but {what} are in {', '.join(sorted(others))}.",
            hint=_CURRENCY_HINT,
            id="orders.E002",
        )
        for what, currencies in stored.items()
        if (others := currencies - {settings.CURRENCY})
    ]


@startup_check
def unsettled_payments_are_this_gateways() -> list[CheckMessage]:
    """Warn of unsettled payments that were sent to another gateway than the one configured."""
    return [
        Warned(
            f"{counted(count, 'payment')} at {name} unsettled until a worker asks that gateway "
            f"again: GATEWAY_NAME is {settings.GATEWAY_NAME}.",
            hint="See the runbook RetailPaymentUnknownStuck.",
            id="orders.W003",
        )
        for name, count in of_other_gateways(unfinished()).items()
    ]

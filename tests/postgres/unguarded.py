"""A Django app that disables the shop's stock checks, for tests that must see overselling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from orders.order import CheckoutRequest


def refuse_nobody(order: CheckoutRequest) -> None:
    """Let every order reach the reservation, even if the product is sold out."""


class UnguardedConfig(AppConfig):
    name = "tests.postgres.unguarded"
    label = "unguarded"

    def ready(self) -> None:
        """Disable the reservation's guard and the fast path before it."""
        from orders import reservation_sql, services  # noqa: PLC0415 - not before the apps are ready

        assert "{guard}" in reservation_sql._STATEMENT
        reservation_sql.GUARD = "TRUE"
        services._refuse_sold_out = refuse_nobody

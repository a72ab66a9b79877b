"""An app for the shop's processes in these tests: reservations take stock that may be gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from orders.order import CheckoutRequest


def take_everybody(order: CheckoutRequest) -> None:
    """Refuse nobody: even who comes when all is gone goes as far as the reservation."""


class UnguardedConfig(AppConfig):
    name = "tests.postgres.unguarded"
    label = "unguarded"

    def ready(self) -> None:
        """Reserve without the condition, and without the look that spares latecomers the try."""
        from orders import reservation_sql, services  # noqa: PLC0415 - not before the apps are ready

        assert "{guard}" in reservation_sql._STATEMENT
        reservation_sql.GUARD = "TRUE"
        services._refuse_sold_out = take_everybody

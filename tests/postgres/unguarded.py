"""An app for the shop's processes in these tests: reservations take stock that may be gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from orders.services import Order


def take_everybody(order: Order) -> None:
    """Refuse nobody: even who comes when all is gone goes as far as the reservation."""


class UnguardedConfig(AppConfig):
    name = "tests.postgres.unguarded"
    label = "unguarded"

    def ready(self) -> None:
        """Reserve without the condition, and without the look that spares latecomers the try."""
        from orders import one_statement, services  # noqa: PLC0415 - not before the apps are ready

        assert "{guard}" in one_statement._STATEMENT
        one_statement.GUARD = "TRUE"
        services._refuse_sold_out = take_everybody

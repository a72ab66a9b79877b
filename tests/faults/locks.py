"""Pause a reservation inside its single statement by locking its product's row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2

from tests.faults.records import query

if TYPE_CHECKING:
    from tests.faults.plans import Plan
    from tests.running.support import RunningShop


class LockedProduct:
    """An order's product, its row locked on PostgreSQL until release."""

    def __init__(self, shop: RunningShop, plan: Plan) -> None:
        self.shop = shop
        self.connection = psycopg2.connect(shop.environment["DATABASE_URL"])
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM products_product WHERE slug = %s FOR UPDATE",
                [f"cell-{plan.number}"],
            )

    def is_blocking(self) -> bool:
        """Whether a statement is waiting for the row."""
        waiting = "SELECT unnest(pg_blocking_pids(pid)) AS blocker FROM pg_stat_activity"
        blockers = {row["blocker"] for row in query(self.shop, waiting)}
        return self.connection.info.backend_pid in blockers

    def release(self) -> None:
        """Release the lock, so that the statement continues."""
        self.connection.close()

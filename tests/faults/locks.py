"""To have a reservation stand still in the midst of its one statement, which nothing can wrap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2

from tests.faults.books import ask

if TYPE_CHECKING:
    from tests.faults.plans import Plan
    from tests.running.support import RunningShop


class HeldProduct:
    """The row of an order's product, locked on PostgreSQL until it is let go."""

    def __init__(self, shop: RunningShop, plan: Plan) -> None:
        self.shop = shop
        self.connection = psycopg2.connect(shop.environment["DATABASE_URL"])
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM products_product WHERE slug = %s FOR UPDATE",
                [f"cell-{plan.number}"],
            )

    def is_waited_for(self) -> bool:
        """Whether a statement has come as far as the row."""
        waiting = "SELECT unnest(pg_blocking_pids(pid)) AS blocker FROM pg_stat_activity"
        blockers = {row["blocker"] for row in ask(self.shop, waiting)}
        return self.connection.info.backend_pid in blockers

    def let_go(self) -> None:
        """Let the statement go on, whether or not anybody waits for its result."""
        self.connection.close()

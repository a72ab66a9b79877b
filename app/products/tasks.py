"""Periodic jobs of the products app."""

from products import services
from retail.jobs import job


@job(every_minutes=1, success_within_minutes=10)
def put_held_stock() -> int:
    """Put units on sale that came back during a flash sale that has ended; return how many."""
    return services.stock_put_held()

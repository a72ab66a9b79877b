"""Helpers of the audit tests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.db.models import Sum

from orders.models import SaleItem
from products.models import StockMovement
from retail.audit import runner
from retail.models import AuditCheck, AuditViolation

if TYPE_CHECKING:
    from collections.abc import Callable

# The invariants that need no gateway.
OWN = {
    "confirmed_sale_is_paid_once",
    "feed_moved_as_applied",
    "ledger_equals_stock",
    "movement_has_order",
    "movements_match_order",
    "order_amounts_agree",
    "pending_within_deadline",
    "sale_status_matches_payments",
    "sold_within_offered",
}


def open_violations(name: str, *, full: bool = False) -> dict[str, str]:
    """Audit an invariant and return its open violations: details by subject."""
    (report,) = runner.audit([name], full=full)
    assert report.problem == ""
    rows = AuditViolation.objects.filter(invariant=name, resolved_at=None)
    assert sorted(row.subject for row in rows) == list(report.subjects)
    return {row.subject: row.detail for row in rows}


def checkpoint_of(name: str, key: str = "done") -> int:
    """Return where the next scan starts."""
    checkpoint: dict[str, Any] = AuditCheck.objects.get(pk=name).checkpoint
    return int(checkpoint.get(key, 0))


def oversold_units() -> int:
    """Return the units of paid orders beyond those ever offered, counted without the audit.

    Another way than the audit's: what was cancelled is neither sold nor offered again.
    """
    lines = SaleItem.objects.filter(sale__status="CONFIRMED", sale__cancelled_at=None).order_by()
    offers = StockMovement.objects.exclude(reason__in=["sale", "release", "cancel"]).order_by()
    offered = dict(offers.values_list("product").annotate(Sum("quantity")))
    sold = lines.values_list("product").annotate(Sum("quantity"))
    return sum(max(0, units - offered.get(product, 0)) for product, units in sold)


def on_own_connection(call: Callable[[], Any]) -> None:
    """Run `call` in a thread with its own connection, and wait for it."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(120)
    assert not thread.is_alive()
    if errors:
        raise errors[0]

"""Orders, cancellations, returns and refunds from several processes: no deadlock, equal books."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from orders.models import Payment, Sale
from products.models import Product
from retail.audit import runner
from tests.postgres.processes import run_together
from tests.support import make_buyer, make_product, unbalanced_products

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

pytestmark = pytest.mark.django_db(transaction=True)

PROCESSES, THREADS, ATTEMPTS = 2, 8, 60
REFUSALS = {"SoldOutError", "read as sold out", "CartChangedError", "empty"}
REFUSALS |= {"NotDispatchableError", "RefundProblemError", "ReturnProblemError"}
DONE = {"CONFIRMED", "FAILED", "cart changed", "stock changed", "cancelled", "dispatched"}
DONE |= {"asked", "approved", "received", "closed", "refunded", "adopted"}
BOOKS = ["refunds_match_reserved", "returned_within_sold", "restocked_as_received"]


def outcomes_of(folder: Path) -> Counter[str]:
    options = json.dumps(
        {
            "products": [make_product(f"Product{number}", "3.00", 200).pk for number in range(4)],
            "customers": [make_buyer(f"buyer{number}").pk for number in range(12)],
            "attempts": ATTEMPTS,
            "staff": True,
        }
    )
    commands = [["tests.postgres.refund_crowd", str(seed), options] for seed in range(PROCESSES)]
    return run_together(folder, commands)


def test_a_crowd_deadlocks_with_nobody_and_keeps_the_books(tmp_path: Path) -> None:
    outcomes = outcomes_of(tmp_path)
    assert outcomes.total() == PROCESSES * THREADS * ATTEMPTS
    assert set(outcomes) <= REFUSALS | DONE
    # Everything happened; otherwise the test would prove nothing.
    assert min(outcomes[name] for name in DONE) > 0
    subjects = {report.invariant: report.subjects for report in runner.audit(BOOKS, full=True)}
    assert subjects == dict.fromkeys(BOOKS, ())
    assert unbalanced_products() == []
    assert min(Product.objects.values_list("stock", flat=True)) >= 0
    assert Payment.objects.filter(refund_reserved__gt=Decimal(0)).exists()
    assert not Sale.objects.exclude(dispatched_at=None).exclude(cancelled_at=None).exists()

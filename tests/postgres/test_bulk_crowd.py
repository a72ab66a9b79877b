"""The catalogue is cleared and refilled, from two processes, while a crowd orders from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command

from orders.models import Payment, Sale
from products.models import Category, Product
from tests.audits import oversold_units
from tests.postgres.processes import run_together
from tests.support import make_buyer, unbalanced_products

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

pytestmark = pytest.mark.django_db(transaction=True)

ROLES = ("buyers", "buyers", "staff", "staff")
BUYERS_OUTCOMES = {
    *("CONFIRMED", "FAILED", "PENDING", "SoldOutError", "read as sold out", "CartChangedError"),
    *("cart changed", "empty", "deleted while added to a cart"),
}


def outcomes_of(folder: Path) -> Counter[str]:
    customers = [make_buyer(f"buyer{number}").pk for number in range(24)]
    options = json.dumps({"customers": customers, "attempts": 15, "rounds": 15})
    commands = [
        ["tests.postgres.bulk", str(number), role, options] for number, role in enumerate(ROLES)
    ]
    return run_together(folder, commands)


def test_resetting_the_catalogue_in_a_crowd_deadlocks_with_nobody_and_loses_nothing(
    tmp_path: Path,
) -> None:
    call_command("populate_products", verbosity=0)
    own = Category.objects.create(name="Own", slug="own")
    outcomes = outcomes_of(tmp_path)
    assert outcomes.pop("reset") == 2 * 15
    assert set(outcomes) <= BUYERS_OUTCOMES
    assert outcomes["CONFIRMED"] > 0
    assert Category.objects.filter(pk=own.pk).exists()
    assert unbalanced_products() == []
    assert oversold_units() == 0
    assert Sale.objects.filter(status="CONFIRMED").count() == outcomes["CONFIRMED"]
    # The samples on flash sale are charged by a worker, which does not run here.
    assert Payment.objects.filter(status="PENDING").count() == outcomes["PENDING"]
    assert Product.objects.filter(is_active=True).count() == 10

"""The invariant of the stock ledger: violations are found, however old, without false alarms."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from products.models import Product, StockMovement
from products.services import stock_reserve
from retail.audit import runner
from tests.audits import on_own_connection, open_violations
from tests.support import make_product, unbalanced_products

pytestmark = pytest.mark.django_db

BALANCED = "ledger_equals_stock"


def test_stock_that_differs_from_the_ledger_is_found_and_resolved() -> None:
    _, second, third = (make_product(stock=10) for _ in range(3))
    assert open_violations(BALANCED) == {}
    Product.objects.filter(pk=second.pk).update(stock=11)
    StockMovement.objects.filter(product=third).delete()
    assert open_violations(BALANCED) == {
        str(second.pk): "stock 11, movements sum to 10",
        str(third.pk): "stock 10, movements sum to 0",
    }
    assert {int(pk) for pk in open_violations(BALANCED)} == set(unbalanced_products())
    Product.objects.filter(pk=second.pk).update(stock=10)
    third.delete()
    assert open_violations(BALANCED) == {}


@pytest.mark.django_db(transaction=True)
def test_a_sale_between_two_statements_is_no_false_alarm() -> None:
    lamp = make_product("Lamp", stock=1000)
    for number in range(5):
        stock_reserve(quantities={lamp.pk: 1}, reference=f"VT-{number}")
    sold = []

    def sell_first(execute: Any, sql: str, *rest: Any) -> Any:
        if "FROM" in sql:
            sold.append(sql)
            on_own_connection(
                lambda: stock_reserve(quantities={lamp.pk: 1}, reference="VT-BETWEEN")
            )
        return execute(sql, *rest)

    with connection.execute_wrapper(sell_first):
        (report,) = runner.audit([BALANCED])
    assert (report.subjects, report.problem) == ((), "")
    assert len([sql for sql in sold if '"products_' in sql]) == 1
    lamp.refresh_from_db()
    assert lamp.stock == 995 - len(sold)
    # Prove that the race exists: reading stock and ledger in two statements sees a difference.
    stock = Product.objects.get(pk=lamp.pk).stock
    on_own_connection(lambda: stock_reserve(quantities={lamp.pk: 1}, reference="VT-BETWEEN"))
    assert stock != sum(lamp.movements.values_list("quantity", flat=True))

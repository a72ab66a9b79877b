"""The stock's promises: what breaks them is found, from wherever the audit looks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from products import audit as stock_audit
from products.models import Product, StockMovement
from products.selectors import oversold_units, unbalanced_products
from products.services import stock_return, stock_take
from retail import audit
from retail.models import AuditCheck
from retail.observability import catalogue
from tests.audits import elsewhere, found, reached
from tests.support import make_product

pytestmark = pytest.mark.django_db

Reason = StockMovement.Reason
BALANCED, SOLD = "ledger_equals_stock", "sold_within_offered"


def move(product: Product, quantity: int, reason: StockMovement.Reason) -> None:
    """Write a movement behind the services' back."""
    StockMovement.objects.create(product=product, quantity=quantity, reason=reason)


def age(minutes: float = 10) -> None:
    """Let all movements be so much older."""
    for row in StockMovement.objects.all():
        then = row.created_at - timedelta(minutes=minutes)
        StockMovement.objects.filter(pk=row.pk).update(created_at=then)


def through() -> int:
    return reached(BALANCED, "through")


@pytest.fixture
def in_twos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock_audit, "CHUNK", 2)


def test_stock_that_the_ledger_does_not_explain_is_found_named_and_resolved() -> None:
    _, second, third = (make_product(stock=10) for _ in range(3))
    assert found(BALANCED) == {}
    Product.objects.filter(pk=second.pk).update(stock=11)
    StockMovement.objects.filter(product=third).delete()
    assert found(BALANCED) == {
        str(second.pk): "stock 11, movements sum to 10",
        str(third.pk): "stock 10, movements sum to 0",
    }
    assert {int(pk) for pk in found(BALANCED)} == set(unbalanced_products())
    Product.objects.filter(pk=second.pk).update(stock=10)
    third.delete()
    assert found(BALANCED) == {}


def test_units_sold_beyond_what_was_offered_are_found_and_counted() -> None:
    over, spare = make_product("Over", stock=10), make_product("Spare", stock=100)
    move(over, -12, Reason.SALE)
    move(spare, -1, Reason.SALE)  # what others have left makes up for nothing
    assert found(SOLD) == {str(over.pk): "2 more sold than were ever put on sale"}
    assert audit.read_audit()[catalogue.OVERSOLD_UNITS] == {(): 2} == {(): oversold_units()}
    move(spare, -104, Reason.SALE)
    move(over, 1, Reason.RETURN)
    assert found(SOLD) == {
        str(over.pk): "1 more sold than were ever put on sale",
        str(spare.pk): "5 more sold than were ever put on sale",
    }
    assert audit.read_audit()[catalogue.OVERSOLD_UNITS] == {(): 6} == {(): oversold_units()}
    move(over, 1, Reason.FEED)
    move(spare, 5, Reason.ADMIN)
    assert found(SOLD) == {}
    assert audit.read_audit()[catalogue.OVERSOLD_UNITS] == {(): 0} == {(): oversold_units()}


def test_only_what_is_there_for_good_is_summed_up_once_and_for_all(in_twos: None) -> None:
    lamp, book = make_product("Lamp", stock=10), make_product("Book", stock=7)
    for number in range(3):
        stock_take(quantities={lamp.pk: 1}, reference=f"VT-{number}")
    assert found(BALANCED) == {}
    assert through() == 0
    age()
    assert found(BALANCED) == {}
    last = StockMovement.objects.order_by("pk")[3].pk  # of five: a chunk that is not full waits
    assert AuditCheck.objects.get(pk=BALANCED).checkpoint == {
        "through": last,
        "sums": {str(lamp.pk): 8, str(book.pk): 7},
    }
    stock_take(quantities={lamp.pk: 1}, reference="VT-4")
    assert found(BALANCED) == {}
    assert through() == last


def test_what_happens_to_old_movements_is_found_by_the_full_look_and_stays_found(
    in_twos: None,
) -> None:
    lamp = make_product("Lamp", stock=10)
    stock_take(quantities={lamp.pk: 1}, reference="VT-1")
    age()
    assert found(BALANCED) == {}
    StockMovement.objects.filter(reference="VT-1").update(quantity=-3)
    assert found(BALANCED) == {}
    wrong = {str(lamp.pk): "stock 9, movements sum to 7"}
    assert found(BALANCED, full=True) == wrong
    assert found(BALANCED) == wrong


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("sell"), st.integers(0, 2), st.integers(1, 5)),
        st.tuples(st.just("return"), st.integers(0, 2), st.integers(1, 5)),
        st.tuples(st.just("unwritten sale"), st.integers(0, 2), st.integers(1, 3)),
        st.tuples(st.just("unguarded sale"), st.integers(0, 2), st.integers(1, 8)),
        st.tuples(st.just("stock put right"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("minutes pass"), st.just(0), st.integers(1, 12)),
        st.tuples(st.just("audit"), st.just(0), st.just(0)),
    ),
    max_size=30,
)


def happen(what: str, product: Product, number: int) -> None:
    """Let one thing happen, right or wrong."""
    product.refresh_from_db()
    if what == "sell" and product.stock >= number:
        stock_take(quantities={product.pk: number}, reference="r")
    elif what == "return":
        stock_return(quantities={product.pk: number}, reference="r")
    elif what == "unwritten sale" and product.stock >= number:
        Product.objects.filter(pk=product.pk).update(stock=product.stock - number)
    elif what == "unguarded sale":
        move(product, -number, Reason.SALE)
    elif what == "stock put right":
        in_ledger = sum(product.movements.values_list("quantity", flat=True))
        Product.objects.filter(pk=product.pk).update(stock=max(0, in_ledger))
    elif what == "minutes pass":
        age(number)
    elif what == "audit":
        audit.audit([BALANCED, SOLD])


@given(OPERATIONS, st.integers(1, 4))
@settings(
    max_examples=settings().max_examples * 2 // 5,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_wherever_it_stopped_it_finds_what_a_full_look_finds(
    operations: list[tuple[str, int, int]], chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patched, transaction.atomic():
        patched.setattr(stock_audit, "CHUNK", chunk)
        products = [make_product(f"p{number}", stock=number * 4) for number in range(3)]
        for what, which, number in operations:
            happen(what, products[which], number)
        new = [found(BALANCED), found(SOLD)]
        units = audit.read_audit()[catalogue.OVERSOLD_UNITS]
        everything = [found(BALANCED, full=True), found(SOLD, full=True)]
        assert new == everything
        assert sorted(int(pk) for pk in new[0]) == unbalanced_products()
        assert units == {(): oversold_units()}
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("old", [False, True])
def test_a_sale_between_any_two_statements_is_no_false_alarm(in_twos: None, *, old: bool) -> None:
    lamp = make_product("Lamp", stock=1000)
    for number in range(5):
        stock_take(quantities={lamp.pk: 1}, reference=f"VT-{number}")
    if old:
        age()
    sold = []

    def sell_first(execute: Any, sql: str, *rest: Any) -> Any:
        if "FROM" in sql:
            sold.append(sql)
            elsewhere(lambda: stock_take(quantities={lamp.pk: 1}, reference="VT-BETWEEN"))
        return execute(sql, *rest)

    with connection.execute_wrapper(sell_first):
        reports = audit.audit([BALANCED, SOLD])
    assert [(report.subjects, report.problem) for report in reports] == [((), ""), ((), "")]
    assert len([sql for sql in sold if '"products_' in sql]) >= 4
    lamp.refresh_from_db()
    assert lamp.stock == 995 - len(sold)
    # That a sale in between would have been seen: two statements, as naive as can be.
    stock = Product.objects.get(pk=lamp.pk).stock
    elsewhere(lambda: stock_take(quantities={lamp.pk: 1}, reference="VT-BETWEEN"))
    assert stock != sum(lamp.movements.values_list("quantity", flat=True))

"""Records broken by plain SQL, however old: each invariant that must notice names the broken row.

Both by the worker's job, in its next run, and by `manage.py audit --full`.
"""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F

from cart.models import CartItem
from orders import audit, audit_stock
from orders.models import Payment, Sale, SaleItem
from orders.reservation import reserve
from orders.settlement import payment_settle
from payments.services import Answer
from products.models import StockMovement
from products.services import stock_adjust
from retail.audit import declare, runner
from retail.audit.results import read_audit
from retail.models import AuditCheck, AuditViolation
from retail.observability.prometheus.catalogue import INVARIANT_VIOLATIONS, OVERSOLD_UNITS
from retail.tasks import run_audit
from tests.audits import OWN, on_own_connection
from tests.orders.state import stock_of
from tests.support import make_buyer, make_product, order_for

if TYPE_CHECKING:
    from products.models import Product

pytestmark = pytest.mark.django_db

ADMIN = StockMovement.Reason.ADMIN


@pytest.fixture(autouse=True)
def _without_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the invariants that need a gateway."""
    own = {name: each for name, each in declare.declared.items() if name in OWN}
    monkeypatch.setattr("retail.audit.runner.declared", own)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scan in several parts."""
    for module in (audit, audit_stock):
        monkeypatch.setattr(module, "CHUNK", 3)


@pytest.fixture
def product() -> Product:
    return make_product("Lamp", "1.50", 9)


@pytest.fixture
def sales(product: Product) -> dict[str, Sale]:
    """Return an order of two lamps in each status; all are three days old and have been audited."""
    answers = [Answer.APPROVED, Answer.DECLINED, Answer.CANCELLED, None]
    placed = []
    for number, answer in enumerate(answers):
        buyer = make_buyer(f"buyer{number}")
        sale, payment = reserve(order_for(buyer, product, 2), uuid.uuid4().hex)
        if answer:
            assert payment_settle(payment=payment, answer=answer)
        placed.append(sale)
    finished = Payment.objects.exclude(status="PENDING")  # the others would be overdue
    for rows in (Sale.objects.all(), finished, StockMovement.objects.all()):
        rows.update(created_at=F("created_at") - timedelta(days=3))
    assert audited() == {}
    return {Sale.objects.get(pk=sale.pk).status: sale for sale in placed}


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        assert cursor.rowcount == 1, statement


def violations() -> dict[str, dict[str, str]]:
    """Return the open violations: detail by invariant and subject."""
    found: dict[str, dict[str, str]] = {}
    for row in AuditViolation.objects.filter(resolved_at=None):
        found.setdefault(row.invariant, {})[row.subject] = row.detail
    return found


def audited() -> dict[str, dict[str, str]]:
    """Run the worker's job once, as it does every minute; return the open violations."""
    run_audit()
    gauge = read_audit()[INVARIANT_VIOLATIONS]
    assert {name: count for (name,), count in gauge.items() if count} == {
        name: len(rows) for name, rows in violations().items()
    }
    return violations()


def audited_fully() -> dict[str, dict[str, str]]:
    """Forget all results, run `manage.py audit --full`, and return the open violations."""
    AuditViolation.objects.all().delete()
    AuditCheck.objects.all().delete()
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("audit", "--full", stdout=out)
    assert ended.value.code == 1
    table = {line.split()[0]: line for line in out.getvalue().splitlines()}
    for name, rows in violations().items():
        assert all(subject in table[name] for subject in rows)
    return violations()


def assert_found(expected: dict[str, dict[str, str]]) -> None:
    assert audited() == expected
    assert audited() == expected  # it stays open
    assert audited_fully() == expected
    assert audited() == expected


def insert_sale(product: Product, units: int, total: str) -> str:
    """Insert an order with one line and a payment, without a movement; return its reference."""
    sql(
        "INSERT INTO orders_sale (reference, user_id, status, kind, total, currency,"
        " idempotency_key, delivery_name, delivery_address, request_id, created_at, finished_at)"
        " SELECT 'VT-BROKEN', user_id, 'CONFIRMED', kind, %s, currency, %s, delivery_name,"
        " delivery_address, '', created_at, finished_at FROM orders_sale WHERE status = 'FAILED'",
        total,
        uuid.uuid4().hex if connection.vendor == "sqlite" else uuid.uuid4(),
    )
    sql(
        "INSERT INTO orders_saleitem (sale_id, product_id, product_name, unit_price, quantity)"
        " SELECT id, %s, 'Lamp', 1.5, %s FROM orders_sale WHERE reference = 'VT-BROKEN'",
        product.pk,
        units,
    )
    sql(
        "INSERT INTO orders_payment (sale_id, key, token, amount, currency, status,"
        " failure_reason, created_at, settled_at, due_at)"
        " SELECT id, 'key', 'tok_good', total, currency, 'COMPLETED', '', created_at,"
        " finished_at, created_at FROM orders_sale WHERE reference = 'VT-BROKEN'"
    )
    return "VT-BROKEN"


def test_correct_records_pass(sales: dict[str, Sale]) -> None:
    assert set(sales) == {"CONFIRMED", "FAILED", "CANCELLED", "PENDING"}
    out = StringIO()
    call_command("audit", "--full", stdout=out)  # exits with 0
    assert {line.split()[0] for line in out.getvalue().splitlines()} == {"invariant", *OWN}


def test_a_paid_order_of_more_than_the_stock_without_a_movement(
    sales: dict[str, Sale], product: Product
) -> None:
    assert stock_of(product) == 5
    reference = insert_sale(product, 1000, "1500")
    moved = f"CONFIRMED, product {product.pk}: 1000 ordered, 0 taken, 0 released, 0 put back"
    assert_found(
        {
            "movements_match_order": {reference: moved},
            "sold_within_offered": {str(product.pk): "1002 sold, 9 ever offered"},
        }
    )
    assert read_audit()[OVERSOLD_UNITS] == {(): 993}


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
def test_stock_that_was_never_released(
    sales: dict[str, Sale], product: Product, status: str
) -> None:
    reference = sales[status].reference
    sql("DELETE FROM products_stockmovement WHERE reason = 'release' AND reference = %s", reference)
    sql("UPDATE products_product SET stock = stock - 2 WHERE id = %s", product.pk)
    moved = f"{status}, product {product.pk}: 2 ordered, 2 taken, 0 released, 0 put back"
    assert_found({"movements_match_order": {reference: moved}})


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "CONFIRMED", "PENDING"])
def test_stock_that_was_released_twice_or_too_early(
    sales: dict[str, Sale], product: Product, status: str
) -> None:
    reference = sales[status].reference
    sql(
        "INSERT INTO products_stockmovement (product_id, quantity, reason, reference, created_at)"
        " SELECT product_id, -quantity, 'release', reference, created_at"
        " FROM products_stockmovement WHERE reason = 'sale' AND reference = %s",
        reference,
    )
    sql("UPDATE products_product SET stock = stock + 2 WHERE id = %s", product.pk)
    released = 4 if status in {"FAILED", "CANCELLED"} else 2
    moved = f"{status}, product {product.pk}: 2 ordered, 2 taken, {released} released, 0 put back"
    assert_found({"movements_match_order": {reference: moved}})


def test_units_taken_of_another_product(sales: dict[str, Sale], product: Product) -> None:
    other = make_product("Desk", "1.50", 5)
    reference = sales["CONFIRMED"].reference
    change = "UPDATE products_stockmovement SET product_id = %s WHERE reference = %s"
    sql(change, other.pk, reference)
    sql("UPDATE products_product SET stock = stock + 2 WHERE id = %s", product.pk)
    sql("UPDATE products_product SET stock = stock - 2 WHERE id = %s", other.pk)
    moved = (
        f"CONFIRMED, product {product.pk}: 2 ordered, 0 taken, 0 released, 0 put back;"
        f" product {other.pk}: 0 ordered, 2 taken, 0 released, 0 put back"
    )
    assert_found({"movements_match_order": {reference: moved}})


@pytest.mark.parametrize(("reason", "quantity"), [("sale", -1), ("release", 1), ("cancel", 1)])
def test_a_movement_of_no_order(
    sales: dict[str, Sale], product: Product, reason: str, quantity: int
) -> None:
    sql(
        "INSERT INTO products_stockmovement (product_id, quantity, reason, reference, created_at)"
        " SELECT product_id, %s, %s, 'VT-GONE', created_at"
        " FROM products_stockmovement WHERE reason = 'seed'",
        quantity,
        reason,
    )
    sql("UPDATE products_product SET stock = stock + %s WHERE id = %s", quantity, product.pk)
    row = StockMovement.objects.get(reference="VT-GONE")
    detail = f"{reason} of 1 of product {product.pk}, no order VT-GONE"
    assert_found({"movement_has_order": {str(row.pk): detail}})


def test_more_charged_than_the_lines(sales: dict[str, Sale]) -> None:
    sale = sales["CONFIRMED"]
    sql("UPDATE orders_sale SET total = 30 WHERE id = %s", sale.pk)
    sql("UPDATE orders_payment SET amount = 30 WHERE sale_id = %s", sale.pk)
    detail = "total 30.00 EUR, lines 3.00, payments 30.00 EUR"
    assert_found({"order_amounts_agree": {sale.reference: detail}})


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "PENDING"])
def test_another_amount_than_the_total_is_to_be_charged(
    sales: dict[str, Sale], status: str
) -> None:
    sale = sales[status]
    sql("UPDATE orders_payment SET amount = 3.01 WHERE sale_id = %s", sale.pk)
    detail = "total 3.00 EUR, lines 3.00, payments 3.01 EUR"
    assert_found({"order_amounts_agree": {sale.reference: detail}})


def test_a_line_that_changed_and_one_that_is_gone(sales: dict[str, Sale], product: Product) -> None:
    one, other = sales["CONFIRMED"], sales["FAILED"]
    sql("UPDATE orders_saleitem SET unit_price = 1.49 WHERE sale_id = %s", one.pk)
    sql("DELETE FROM orders_saleitem WHERE sale_id = %s", other.pk)
    assert_found(
        {
            "order_amounts_agree": {
                one.reference: "total 3.00 EUR, lines 2.98, payments 3.00 EUR",
                other.reference: "total 3.00 EUR, no lines, payments 3.00 EUR",
            },
            "movements_match_order": {
                other.reference: f"FAILED, product {product.pk}: 0 ordered, 2 taken, 2 released,"
                " 0 put back"
            },
        }
    )


def test_another_currency_than_the_payments(sales: dict[str, Sale]) -> None:
    sale = sales["FAILED"]
    sql("UPDATE orders_sale SET currency = 'USD' WHERE id = %s", sale.pk)
    detail = "total 3.00 USD, lines 3.00, payments 3.00 EUR"
    assert_found({"order_amounts_agree": {sale.reference: detail}})


def test_an_order_that_is_pending_though_its_payment_failed(sales: dict[str, Sale]) -> None:
    sale = sales["PENDING"]
    sql("UPDATE orders_payment SET status = 'FAILED' WHERE sale_id = %s", sale.pk)
    detail = "PENDING with 0 unfinished, 0 completed and 1 failed payments"
    assert_found({"sale_status_matches_payments": {sale.reference: detail}})


def test_an_order_that_is_pending_though_it_is_paid(sales: dict[str, Sale]) -> None:
    sale = sales["PENDING"]
    sql("UPDATE orders_payment SET status = 'COMPLETED' WHERE sale_id = %s", sale.pk)
    assert_found(
        {
            "confirmed_sale_is_paid_once": {
                sale.reference: "PENDING with 1 completed payments, 1 of 3.00 EUR"
            },
            "sale_status_matches_payments": {
                sale.reference: "PENDING with 0 unfinished, 1 completed and 0 failed payments"
            },
        }
    )


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "PENDING"])
def test_an_order_without_its_payment(sales: dict[str, Sale], status: str) -> None:
    sale = sales[status]
    sql("DELETE FROM orders_payment WHERE sale_id = %s", sale.pk)
    detail = f"{status} with 0 unfinished, 0 completed and 0 failed payments"
    assert_found({"sale_status_matches_payments": {sale.reference: detail}})


def test_a_failed_order_whose_payment_may_still_be_charged(sales: dict[str, Sale]) -> None:
    sale = sales["FAILED"]
    change = "UPDATE orders_payment SET status = 'UNKNOWN', failure_reason = '' WHERE sale_id = %s"
    sql(change, sale.pk)
    key = sale.payments.get().key
    found = audited()
    assert set(found) == {"pending_within_deadline", "sale_status_matches_payments"}
    assert set(found["pending_within_deadline"]) == {key}
    assert found["sale_status_matches_payments"] == {
        sale.reference: "FAILED with 1 unfinished, 0 completed and 0 failed payments"
    }
    assert audited_fully() == found


def test_a_confirmed_order_whose_payment_was_lost(sales: dict[str, Sale]) -> None:
    sale = sales["CONFIRMED"]
    sql("UPDATE orders_payment SET status = 'FAILED' WHERE sale_id = %s", sale.pk)
    assert_found(
        {
            "confirmed_sale_is_paid_once": {
                sale.reference: "CONFIRMED with 0 completed payments, 0 of 3.00 EUR"
            },
            "sale_status_matches_payments": {
                sale.reference: "CONFIRMED with 0 unfinished, 0 completed and 1 failed payments"
            },
        }
    )


def test_offered_units_that_were_taken_back(sales: dict[str, Sale], product: Product) -> None:
    """Released units are not an offer: two were sold, one was offered, four were released."""
    sql("UPDATE products_stockmovement SET quantity = 1 WHERE reason = 'seed'")
    assert_found(
        {
            "ledger_equals_stock": {str(product.pk): "stock 5, movements sum to -3"},
            "sold_within_offered": {str(product.pk): "2 sold, 1 ever offered"},
        }
    )


def test_corrected_records_resolve_their_violations(
    sales: dict[str, Sale], product: Product
) -> None:
    sale = sales["CONFIRMED"]
    sql("UPDATE orders_sale SET total = 30, status = 'FAILED' WHERE id = %s", sale.pk)
    assert set(audited()) == {
        "confirmed_sale_is_paid_once",
        "movements_match_order",
        "order_amounts_agree",
        "sale_status_matches_payments",
    }
    sql("UPDATE orders_sale SET total = 3, status = 'CONFIRMED' WHERE id = %s", sale.pk)
    assert audited() == {}


@pytest.mark.django_db(transaction=True)
def test_orders_in_progress_are_no_false_alarm(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each statement of the audit, one order is paid, one fails and two are placed."""
    for module in (audit, audit_stock):  # small parts would not catch up with so many new orders
        monkeypatch.setattr(module, "CHUNK", 100)
    buyers = [make_buyer(f"buyer{number}") for number in range(2)]
    stock_adjust(product_id=product.pk, difference=1000, reason=ADMIN, reference="")
    waiting = [reserve(order_for(buyer, product), uuid.uuid4().hex)[1] for buyer in buyers]
    read: list[str] = []

    def sell() -> None:
        for answer in (Answer.APPROVED, Answer.DECLINED):
            assert payment_settle(payment=waiting.pop(0), answer=answer)
        CartItem.objects.all().delete()  # a failed order gives its lines back to the cart
        waiting.extend(reserve(order_for(each, product), uuid.uuid4().hex)[1] for each in buyers)

    def sell_first(execute: Any, statement: str, *rest: Any) -> Any:
        if "orders_" in statement or "products_" in statement:
            read.append(statement)
            on_own_connection(sell)
        return execute(statement, *rest)

    with connection.execute_wrapper(sell_first):
        reports = [*runner.audit(), *runner.audit(full=True)]
    assert {(report.subjects, report.problem) for report in reports} == {((), "")}
    assert {report.invariant for report in reports} == OWN
    assert len(read) > 2 * len(OWN)
    assert dict(Counter(Sale.objects.values_list("status", flat=True))) == {
        "CONFIRMED": len(read),
        "FAILED": len(read),
        "PENDING": 2,
    }
    # Prove that the race exists: reading orders and movements in two statements sees a difference.
    ordered = SaleItem.objects.count()
    on_own_connection(sell)
    assert ordered != StockMovement.objects.filter(reason="sale").count()

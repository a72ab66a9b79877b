"""Invariants about money: violations are found, wherever the checkpoint is."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders import audit as sale_audit
from orders import audit_stock
from orders.models import Payment, Sale
from orders.reservation import reserve
from orders.settlement import payment_settle
from payments.services import Answer
from retail.audit import runner
from retail.models import AuditCheck
from tests.audits import checkpoint_of, open_violations
from tests.support import make_buyer, make_product, order_for

pytestmark = pytest.mark.django_db

PAID, PENDING = "confirmed_sale_is_paid_once", "pending_within_deadline"


@pytest.fixture
def chunks_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sale_audit, audit_stock):
        monkeypatch.setattr(module, "CHUNK", 2)


def make_payments(count: int, name: str = "buyer") -> list[Payment]:
    buyer, lamp = make_buyer(name), make_product("Lamp", "10.00", 100)
    return [reserve(order_for(buyer, lamp), uuid.uuid4().hex)[1] for _ in range(count)]


def settle(payment: Payment, answer: Answer = Answer.APPROVED) -> None:
    assert payment_settle(payment=payment, answer=answer)


def age(minutes: float = 10) -> None:
    """Make all orders and payments older."""
    for model in (Sale, Payment):
        for row in model.objects.all():
            then = row.created_at - timedelta(minutes=minutes)
            model.objects.filter(pk=row.pk).update(created_at=then)


def test_orders_paid_once_in_full_and_unpaid_orders_pass() -> None:
    paid, declined, cancelled, _waiting = make_payments(4)
    settle(paid)
    settle(declined, Answer.DECLINED)
    settle(cancelled, Answer.CANCELLED)
    (report,) = runner.audit([PAID])
    assert (report.checked, report.subjects) == (4, ())


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        (
            {"amount": Decimal("9.99")},
            "CONFIRMED with 1 completed payments, 0 of 10.00 EUR",
        ),
        ({"currency": "USD"}, "CONFIRMED with 1 completed payments, 0 of 10.00 EUR"),
        ({"status": "FAILED"}, "CONFIRMED with 0 completed payments, 0 of 10.00 EUR"),
        ({"status": "UNKNOWN"}, "CONFIRMED with 0 completed payments, 0 of 10.00 EUR"),
    ],
)
def test_a_confirmed_order_that_is_not_paid_in_full_is_found_and_resolved(
    changes: dict[str, Any], detail: str
) -> None:
    good, bad = make_payments(2)
    settle(good)
    settle(bad)
    Payment.objects.filter(pk=bad.pk).update(**changes)
    assert open_violations(PAID) == {bad.sale.reference: detail}
    Payment.objects.filter(pk=bad.pk).update(amount=10, currency="EUR", status="COMPLETED")
    assert open_violations(PAID) == {}


@pytest.mark.parametrize(("amount", "of_total"), [(10, 2), (1, 1)])
def test_an_order_paid_twice_is_found(amount: int, of_total: int) -> None:
    payment, other = make_payments(2)
    settle(payment)
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX sale_paid_once")  # the constraint that prevents this
    again = Payment.objects.filter(pk=other.pk)
    again.update(sale=payment.sale, status="COMPLETED", amount=amount)
    assert open_violations(PAID) == {
        payment.sale.reference: f"CONFIRMED with 2 completed payments, {of_total} of 10.00 EUR"
    }


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "PENDING"])
def test_an_order_that_is_paid_but_not_confirmed_is_found(status: str) -> None:
    (payment,) = make_payments(1)
    settle(payment)
    Sale.objects.update(status=status)
    assert open_violations(PAID) == {
        payment.sale.reference: f"{status} with 1 completed payments, 1 of 10.00 EUR"
    }


@pytest.mark.parametrize(
    ("changes", "payments"),
    [
        ({"amount": Decimal("9.99")}, "9.99 to 10.00 EUR"),
        ({"amount": Decimal("10.01")}, "10.00 to 10.01 EUR"),
        ({"currency": "CHF"}, "10.00 CHF and EUR"),
        ({"currency": "USD"}, "10.00 EUR and USD"),
        ({"amount": Decimal(9), "currency": "USD"}, "9.00 to 10.00 EUR and USD"),
    ],
)
def test_each_payment_of_an_order_is_compared_with_its_total(
    changes: dict[str, Any], payments: str
) -> None:
    failed, other = make_payments(2)
    settle(failed, Answer.DECLINED)
    again = Payment.objects.filter(pk=other.pk)
    again.update(sale=failed.sale)
    assert open_violations("order_amounts_agree") == {}
    again.update(**changes)
    assert open_violations("order_amounts_agree") == {
        failed.sale.reference: f"total 10.00 EUR, lines 10.00, payments {payments}"
    }


def test_the_checkpoint_stops_below_rows_that_may_still_appear(chunks_of_two: None) -> None:
    payments = make_payments(5)
    for payment in (*payments[:3], payments[4]):
        settle(payment)
    assert open_violations(PAID) == {}
    assert checkpoint_of(PAID) == 0  # all are too recent
    age()
    assert open_violations(PAID) == {}
    assert checkpoint_of(PAID) == payments[4].sale_id


def test_a_row_that_appears_below_a_recent_one_is_not_skipped(chunks_of_two: None) -> None:
    payments = make_payments(4)
    for payment in payments:
        settle(payment)
    hidden = Sale.objects.get(pk=payments[1].sale_id)
    fields = {field.attname: getattr(hidden, field.attname) for field in Sale._meta.fields}
    payments[1].sale.items.all().delete()
    payments[1].delete()
    hidden.delete()
    Sale.objects.filter(pk=payments[0].sale_id).update(
        created_at=timezone.now() - timedelta(minutes=10)
    )
    assert open_violations(PAID) == {}
    assert checkpoint_of(PAID) == payments[0].sale_id  # not the row below the first recent one
    Sale.objects.create(**fields)
    assert list(open_violations(PAID)) == [hidden.reference]


def test_a_changed_old_order_is_found_by_the_next_run_and_stays_open(chunks_of_two: None) -> None:
    payments = make_payments(5)
    for payment in payments:
        settle(payment)
    age()
    assert open_violations(PAID) == {}
    Payment.objects.filter(pk=payments[0].pk).update(amount=1)
    wrong = {payments[0].sale.reference: "CONFIRMED with 1 completed payments, 0 of 10.00 EUR"}
    assert open_violations(PAID) == wrong
    assert open_violations(PAID, full=True) == wrong
    assert open_violations(PAID) == wrong


def test_a_large_shop_audits_new_orders_in_each_run_and_old_ones_in_turn(
    chunks_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = make_payments(6)
    for payment in payments:
        settle(payment)
    age()
    assert open_violations(PAID) == {}
    monkeypatch.setattr(runner, "SCAN_SECONDS", 1e-9)  # one part of each scan
    Payment.objects.filter(pk=payments[5].pk).update(amount=1)
    assert open_violations(PAID) == {}
    assert open_violations(PAID) == {}
    assert AuditCheck.objects.get(pk=PAID).full_checkpoint == {"done": payments[3].sale_id}
    (new,) = make_payments(1, "another")
    settle(new)
    Payment.objects.filter(pk=new.pk).update(amount=1)
    for _ in range(2):  # the second does not get to the old one, which is still wrong
        assert set(open_violations(PAID)) == {payments[5].sale.reference, new.sale.reference}
    Payment.objects.filter(pk=payments[5].pk).update(amount=10)
    assert set(open_violations(PAID)) == {new.sale.reference}


def test_a_scan_that_is_out_of_time_at_the_end_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    payments = make_payments(3)
    age()
    monkeypatch.setattr(runner, "SCAN_SECONDS", 1e-9)
    assert open_violations(PAID) == {}
    check = AuditCheck.objects.get(pk=PAID)
    assert check.full_checked_at is not None
    assert (check.full_checkpoint, check.checkpoint) == (None, {"done": payments[2].sale_id})


def test_payments_past_their_deadline_are_found_and_resolved() -> None:
    payments = make_payments(5)
    begun = timezone.now() - timedelta(minutes=15)
    times = [begun - timedelta(seconds=9), begun + timedelta(seconds=9)] * 2
    for payment, created_at in zip(payments, times, strict=False):
        Payment.objects.filter(pk=payment.pk).update(created_at=created_at)
    Payment.objects.filter(pk__in=[payments[2].pk, payments[3].pk]).update(status="UNKNOWN")
    since = f"{times[0]:%Y-%m-%d %H:%M:%S} UTC"
    assert open_violations(PENDING) == {
        payments[0].key: f"{payments[0].sale.reference}: PENDING since {since}",
        payments[2].key: f"{payments[2].sale.reference}: UNKNOWN since {since}",
    }
    settle(payments[0])
    settle(payments[2], Answer.CANCELLED)
    (report,) = runner.audit([PENDING])
    assert (report.checked, report.subjects) == (3, ())


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.just(0)),
        st.tuples(
            st.sampled_from(["approve", "decline", "wrong amount", "lost payment", "cancelled"]),
            st.integers(0, 7),
        ),
        st.tuples(st.just("minutes pass"), st.integers(1, 9)),
        st.tuples(st.just("audit"), st.just(0)),
    ),
    max_size=30,
)


def apply(operation: str, number: int, order: Any) -> None:
    """Run one operation, valid or not; most settle a pending payment."""
    pending = list(Payment.objects.filter(status="PENDING").order_by("pk"))
    if operation == "reserve":
        reserve(order(), uuid.uuid4().hex)
    elif operation == "minutes pass":
        age(number)
    elif operation == "audit":
        runner.audit([PAID])
    elif pending:
        payment = pending[number % len(pending)]
        settle(payment, Answer.DECLINED if operation == "decline" else Answer.APPROVED)
        row = Payment.objects.filter(pk=payment.pk)
        if operation == "wrong amount":
            row.update(amount=1)
        elif operation == "lost payment":
            row.delete()
        elif operation == "cancelled":
            Sale.objects.filter(pk=payment.sale_id).update(status="CANCELLED")


@given(OPERATIONS, st.integers(1, 4))
@settings(
    max_examples=settings().max_examples * 3 // 10,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_an_incremental_scan_finds_what_a_full_scan_finds(
    operations: list[tuple[str, int]], chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patched, transaction.atomic():
        patched.setattr(sale_audit, "CHUNK", chunk)
        buyer, lamp = make_buyer(), make_product("Lamp", "10.00", 100)
        for operation, number in operations:
            apply(operation, number, lambda: order_for(buyer, lamp))
        incremental = open_violations(PAID)
        assert incremental == open_violations(PAID, full=True)
        wrong = [
            sale.reference
            for sale in Sale.objects.order_by("reference")
            if sum(
                (payment.amount, payment.currency) == (sale.total, sale.currency)
                for payment in sale.payments.filter(status="COMPLETED")
            )
            != (sale.status == "CONFIRMED")
        ]
        unconfirmed = Sale.objects.exclude(status="CONFIRMED").filter(payments__status="COMPLETED")
        assert set(incremental) == {*wrong, *unconfirmed.values_list("reference", flat=True)}
        transaction.set_rollback(True)

"""What orders promise about money: what breaks it is found, whatever the audit has seen before."""

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
from orders.models import Payment, Sale
from orders.reservation import reserve
from orders.settlement import payment_settle
from payments.services import Answer
from retail import audit
from tests.audits import found, reached
from tests.support import make_buyer, make_product, order_for

pytestmark = pytest.mark.django_db

PAID, PENDING = "confirmed_sale_is_paid_once", "pending_within_deadline"


@pytest.fixture
def in_twos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sale_audit, "CHUNK", 2)


def make_payments(count: int) -> list[Payment]:
    buyer, lamp = make_buyer(), make_product("Lamp", "10.00", 100)
    return [reserve(order_for(buyer, lamp), uuid.uuid4().hex)[1] for _ in range(count)]


def settle(payment: Payment, answer: Answer = Answer.APPROVED) -> None:
    assert payment_settle(payment=payment, answer=answer)


def age(minutes: float = 10) -> None:
    """Let all orders and payments be so much older."""
    for model in (Sale, Payment):
        for row in model.objects.all():
            then = row.created_at - timedelta(minutes=minutes)
            model.objects.filter(pk=row.pk).update(created_at=then)


def test_orders_paid_once_in_full_and_orders_not_paid_are_right() -> None:
    paid, declined, cancelled, _waiting = make_payments(4)
    settle(paid)
    settle(declined, Answer.DECLINED)
    settle(cancelled, Answer.CANCELLED)
    (report,) = audit.audit([PAID])
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
    assert found(PAID) == {bad.sale.reference: detail}
    Payment.objects.filter(pk=bad.pk).update(amount=10, currency="EUR", status="COMPLETED")
    assert found(PAID) == {}


@pytest.mark.parametrize(("amount", "of_total"), [(10, 2), (1, 1)])
def test_an_order_paid_twice_is_found(amount: int, of_total: int) -> None:
    payment, other = make_payments(2)
    settle(payment)
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX sale_paid_once")  # which allows nobody this
    again = Payment.objects.filter(pk=other.pk)
    again.update(sale=payment.sale, status="COMPLETED", amount=amount)
    assert found(PAID) == {
        payment.sale.reference: f"CONFIRMED with 2 completed payments, {of_total} of 10.00 EUR"
    }


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "PENDING"])
def test_an_order_that_is_paid_but_not_confirmed_is_found(status: str) -> None:
    (payment,) = make_payments(1)
    settle(payment)
    Sale.objects.update(status=status)
    assert found(PAID) == {
        payment.sale.reference: f"{status} with 1 completed payments, 1 of 10.00 EUR"
    }


def test_the_checkpoint_stops_below_what_may_still_change_or_appear(in_twos: None) -> None:
    payments = make_payments(5)
    for payment in (*payments[:3], payments[4]):
        settle(payment)
    assert found(PAID) == {}
    assert reached(PAID) == 0  # all young
    age()
    assert found(PAID) == {}
    assert reached(PAID) == payments[2].sale_id  # the fourth is pending
    settle(payments[3])
    Payment.objects.filter(pk=payments[4].pk).update(amount=1)
    # Seen while it was right, seen again: the checkpoint had not passed it.
    assert list(found(PAID)) == [payments[4].sale.reference]
    assert reached(PAID) == payments[4].sale_id
    assert list(found(PAID)) == [payments[4].sale.reference]


def test_a_row_that_appears_below_a_young_one_is_not_passed_over(in_twos: None) -> None:
    payments = make_payments(4)
    for payment in payments:
        settle(payment)
    hidden = Sale.objects.get(pk=payments[1].sale_id)
    facts = {field.attname: getattr(hidden, field.attname) for field in Sale._meta.fields}
    payments[1].sale.items.all().delete()
    payments[1].delete()
    hidden.delete()
    Sale.objects.filter(pk=payments[0].sale_id).update(
        created_at=timezone.now() - timedelta(minutes=10)
    )
    assert found(PAID) == {}
    assert reached(PAID) == payments[0].sale_id  # and not the one below the first young one
    Sale.objects.create(**facts)
    assert list(found(PAID)) == [hidden.reference]


def test_what_happens_to_old_orders_is_found_by_the_full_look_and_stays_found(
    in_twos: None,
) -> None:
    payments = make_payments(5)
    for payment in payments:
        settle(payment)
    age()
    assert found(PAID) == {}
    Payment.objects.filter(pk=payments[0].pk).update(amount=1)
    assert found(PAID) == {}
    wrong = {payments[0].sale.reference: "CONFIRMED with 1 completed payments, 0 of 10.00 EUR"}
    assert found(PAID, full=True) == wrong
    assert found(PAID) == wrong


def test_payments_that_wait_beyond_their_deadline_are_found_and_resolved() -> None:
    payments = make_payments(5)
    begun = timezone.now() - timedelta(minutes=15)
    times = [begun - timedelta(seconds=9), begun + timedelta(seconds=9)] * 2
    for payment, created_at in zip(payments, times, strict=False):
        Payment.objects.filter(pk=payment.pk).update(created_at=created_at)
    Payment.objects.filter(pk__in=[payments[2].pk, payments[3].pk]).update(status="UNKNOWN")
    since = f"{times[0]:%Y-%m-%d %H:%M:%S} UTC"
    assert found(PENDING) == {
        payments[0].key: f"{payments[0].sale.reference}: PENDING since {since}",
        payments[2].key: f"{payments[2].sale.reference}: UNKNOWN since {since}",
    }
    settle(payments[0])
    settle(payments[2], Answer.CANCELLED)
    assert found(PENDING) == {}


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.just(0)),
        st.tuples(
            st.sampled_from(["approve", "decline", "wrong amount", "lost payment", "not so"]),
            st.integers(0, 7),
        ),
        st.tuples(st.just("minutes pass"), st.integers(1, 9)),
        st.tuples(st.just("audit"), st.just(0)),
    ),
    max_size=30,
)


def happen(what: str, number: int, order: Any) -> None:
    """Let one thing happen to a payment, right or wrong, that has not happened before it ends."""
    waiting = list(Payment.objects.filter(status="PENDING").order_by("pk"))
    if what == "reserve":
        reserve(order(), uuid.uuid4().hex)
    elif what == "minutes pass":
        age(number)
    elif what == "audit":
        audit.audit([PAID])
    elif waiting:
        payment = waiting[number % len(waiting)]
        settle(payment, Answer.DECLINED if what == "decline" else Answer.APPROVED)
        of_it = Payment.objects.filter(pk=payment.pk)
        if what == "wrong amount":
            of_it.update(amount=1)
        elif what == "lost payment":
            of_it.delete()
        elif what == "not so":
            Sale.objects.filter(pk=payment.sale_id).update(status="CANCELLED")


@given(OPERATIONS, st.integers(1, 4))
@settings(
    max_examples=settings().max_examples * 3 // 10,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_wherever_it_stopped_it_finds_what_a_full_look_finds(
    operations: list[tuple[str, int]], chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patched, transaction.atomic():
        patched.setattr(sale_audit, "CHUNK", chunk)
        buyer, lamp = make_buyer(), make_product("Lamp", "10.00", 100)
        for what, number in operations:
            happen(what, number, lambda: order_for(buyer, lamp))
        new = found(PAID)
        assert new == found(PAID, full=True)
        wrong = [
            sale.reference
            for sale in Sale.objects.order_by("reference")
            if sum(
                (payment.amount, payment.currency) == (sale.total, sale.currency)
                for payment in sale.payments.filter(status="COMPLETED")
            )
            != (sale.status == "CONFIRMED")
        ]
        odd = Sale.objects.exclude(status="CONFIRMED").filter(payments__status="COMPLETED")
        assert set(new) == {*wrong, *odd.values_list("reference", flat=True)}
        transaction.set_rollback(True)

"""A settlement that races with another one, or with its buyer in another tab."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from cart.services import CartChangedError
from orders import settlement
from orders.models import Payment, new_payment_key
from orders.recovery import claim
from orders.reservation import reserve
from orders.settlement import payment_mark_unknown, payment_settle
from payments.services import Answer
from products.models import Product
from tests.postgres.interleaving import before_commit, interleave, paused_before, state
from tests.support import make_product, moved, order_for

pytestmark = pytest.mark.django_db(transaction=True)

SETTLED = {
    Answer.APPROVED: ("CONFIRMED", 8, {}),
    Answer.DECLINED: ("FAILED", 10, {"anna": {"Lamp": 2}}),
    Answer.CANCELLED: ("CANCELLED", 10, {"anna": {"Lamp": 2}}),
}


@pytest.fixture
def lamp() -> Product:
    return make_product("Lamp", "10.00", 10)


@pytest.fixture
def payment(anna: User, lamp: Product) -> Payment:
    """Return the pending payment of an order of two lamps out of ten."""
    return reserve(order_for(anna, lamp, 2), new_payment_key())[1]


def settle(payment: Payment, answer: Answer) -> Callable[[], bool]:
    copy = Payment.objects.select_related("sale").get(pk=payment.pk)  # each process has its own
    return lambda: payment_settle(payment=copy, answer=answer)


def mark_unknown(payment: Payment) -> Callable[[], bool]:
    copy = Payment.objects.select_related("sale").get(pk=payment.pk)
    return lambda: payment_mark_unknown(payment=copy)


def settled(answer: Answer) -> dict[str, Any]:
    status, stock, carts = SETTLED[answer]
    return {
        "stock": {"Lamp": stock},
        "orders": {"anna": [(status, "Lamp", 2)]},
        "carts": carts,
    }


def without_the_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow every transition."""
    monkeypatch.setattr(settlement, "sources_not_allowed", lambda _table, _target: [])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Answer.APPROVED, Answer.APPROVED),
        (Answer.DECLINED, Answer.DECLINED),
        (Answer.APPROVED, Answer.CANCELLED),
        (Answer.CANCELLED, Answer.APPROVED),
    ],
)
def test_of_two_settlements_the_second_changes_nothing(
    payment: Payment, first: Answer, second: Answer
) -> None:
    with moved() as changes:
        result = interleave(before_commit(settle(payment, first)), settle(payment, second))
    assert result == (True, False, True)
    assert state() == settled(first)
    outcome = {"CONFIRMED": "confirmed", "FAILED": "payment_declined", "CANCELLED": "cancelled"}
    counted = {name: by for name, by in changes.items() if name.startswith("retail_orders_total")}
    assert counted == {f'retail_orders_total{{outcome="{outcome[SETTLED[first][0]]}"}}': 1}


@pytest.mark.parametrize("second", [Answer.APPROVED, Answer.DECLINED])
def test_if_the_first_settlement_is_rolled_back_the_second_succeeds(
    payment: Payment, second: Answer
) -> None:
    first = before_commit(settle(payment, Answer.APPROVED), commits=False)
    result = interleave(first, settle(payment, second))
    assert result == (True, True, True)
    assert state() == settled(second)


def test_a_settled_payment_is_not_marked_as_unknown(payment: Payment) -> None:
    result = interleave(before_commit(settle(payment, Answer.APPROVED)), mark_unknown(payment))
    assert result == (True, False, True)
    assert state() == settled(Answer.APPROVED)
    payment.refresh_from_db()
    assert (payment.status, payment.failure_reason) == ("COMPLETED", "")


@pytest.mark.parametrize("answer", list(SETTLED))
def test_a_payment_marked_as_unknown_is_settled_by_a_later_answer(
    payment: Payment, answer: Answer
) -> None:
    result = interleave(before_commit(mark_unknown(payment)), settle(payment, answer))
    assert result == (True, True, True)
    assert state() == settled(answer)


def test_without_the_condition_stock_is_returned_twice(
    payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_the_condition(monkeypatch)
    first, second = (settle(payment, Answer.DECLINED) for _ in range(2))
    assert interleave(before_commit(first), second) == (True, True, True)
    assert state()["stock"] == {"Lamp": 12}


def test_without_the_condition_a_paid_order_becomes_unknown(
    payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_the_condition(monkeypatch)
    result = interleave(before_commit(settle(payment, Answer.APPROVED)), mark_unknown(payment))
    assert result == (True, True, True)
    payment.refresh_from_db()
    assert payment.status == "UNKNOWN"


def test_a_payment_being_settled_is_not_claimed(payment: Payment) -> None:
    Payment.objects.update(due_at=timezone.now())
    result = interleave(
        before_commit(settle(payment, Answer.APPROVED)), lambda: claim(timezone.now())
    )
    assert result == (True, [], False)


@pytest.mark.parametrize("step", ["cart_restore", "stock_release"])
def test_a_declined_order_and_a_new_one_of_the_same_cart_do_not_deadlock(
    payment: Payment, anna: User, lamp: Product, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both lock the cart and the lamp; in different orders they would deadlock.
    again = order_for(anna, lamp, 3)
    first = paused_before(monkeypatch, settlement, step, settle(payment, Answer.DECLINED))
    result = interleave(first, lambda: reserve(again, new_payment_key()))
    assert result.first is True
    returned_first = step == "stock_release"
    assert (result.waited, isinstance(result.second, CartChangedError)) == (returned_first,) * 2
    orders = [("FAILED", "Lamp", 2), ("PENDING", "Lamp", 3)]
    assert state() == {
        "stock": {"Lamp": 10 if returned_first else 7},
        "orders": {"anna": orders[:1] if returned_first else orders},
        "carts": {"anna": {"Lamp": 5 if returned_first else 2}},
    }

"""A settlement that meets another one, or its own buyer in another tab."""

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
from tests.postgres.meeting import books, meet, stopping_before, unfinished
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
    """Make an order of two lamps of ten that waits for its payment."""
    return reserve(order_for(anna, lamp, 2), new_payment_key())[1]


def settling(payment: Payment, answer: Answer) -> Callable[[], bool]:
    found = Payment.objects.select_related("sale").get(pk=payment.pk)  # as each process has its own
    return lambda: payment_settle(payment=found, answer=answer)


def giving_up(payment: Payment) -> Callable[[], bool]:
    found = Payment.objects.select_related("sale").get(pk=payment.pk)
    return lambda: payment_mark_unknown(payment=found)


def settled(answer: Answer) -> dict[str, Any]:
    status, stock, carts = SETTLED[answer]
    return {
        "stock": {"Lamp": stock},
        "orders": {"anna": [(status, "Lamp", 2)]},
        "carts": carts,
    }


def without_the_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every state follow on every other."""
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
def test_of_two_who_settle_the_second_changes_nothing(
    payment: Payment, first: Answer, second: Answer
) -> None:
    with moved() as changes:
        met = meet(unfinished(settling(payment, first)), settling(payment, second))
    assert met == (True, False, True)
    assert books() == settled(first)
    outcome = {"CONFIRMED": "confirmed", "FAILED": "payment_declined", "CANCELLED": "cancelled"}
    counted = {name: by for name, by in changes.items() if name.startswith("retail_orders_total")}
    assert counted == {f'retail_orders_total{{outcome="{outcome[SETTLED[first][0]]}"}}': 1}


@pytest.mark.parametrize("second", [Answer.APPROVED, Answer.DECLINED])
def test_if_the_first_to_settle_fails_the_second_does_it(payment: Payment, second: Answer) -> None:
    first = unfinished(settling(payment, Answer.APPROVED), commits=False)
    met = meet(first, settling(payment, second))
    assert met == (True, True, True)
    assert books() == settled(second)


def test_nobody_answered_the_one_while_the_other_settles(payment: Payment) -> None:
    met = meet(unfinished(settling(payment, Answer.APPROVED)), giving_up(payment))
    assert met == (True, False, True)
    assert books() == settled(Answer.APPROVED)
    payment.refresh_from_db()
    assert (payment.status, payment.failure_reason) == ("COMPLETED", "")


@pytest.mark.parametrize("answer", list(SETTLED))
def test_an_answer_comes_while_the_other_notes_that_there_was_none(
    payment: Payment, answer: Answer
) -> None:
    met = meet(unfinished(giving_up(payment)), settling(payment, answer))
    assert met == (True, True, True)
    assert books() == settled(answer)


def test_without_the_condition_stock_comes_back_twice(
    payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_the_condition(monkeypatch)
    first, second = (settling(payment, Answer.DECLINED) for _ in range(2))
    assert meet(unfinished(first), second) == (True, True, True)
    assert books()["stock"] == {"Lamp": 12}


def test_without_the_condition_what_is_paid_becomes_unknown(
    payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_the_condition(monkeypatch)
    met = meet(unfinished(settling(payment, Answer.APPROVED)), giving_up(payment))
    assert met == (True, True, True)
    payment.refresh_from_db()
    assert payment.status == "UNKNOWN"


def test_a_payment_that_is_being_settled_is_not_claimed(payment: Payment) -> None:
    Payment.objects.update(due_at=timezone.now())
    met = meet(unfinished(settling(payment, Answer.APPROVED)), lambda: claim(timezone.now()))
    assert met == (True, [], False)


@pytest.mark.parametrize("step", ["cart_restore", "stock_return"])
def test_a_declined_order_comes_back_while_its_buyer_orders_the_same_again(
    payment: Payment, anna: User, lamp: Product, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both need the cart and the lamp: who took them in another order would wait in a circle.
    again = order_for(anna, lamp, 3)
    first = stopping_before(monkeypatch, settlement, step, settling(payment, Answer.DECLINED))
    met = meet(first, lambda: reserve(again, new_payment_key()))
    assert met.first is True
    came_back_first = step == "stock_return"
    assert (met.waited, isinstance(met.second, CartChangedError)) == (came_back_first,) * 2
    orders = [("FAILED", "Lamp", 2), ("PENDING", "Lamp", 3)]
    assert books() == {
        "stock": {"Lamp": 10 if came_back_first else 7},
        "orders": {"anna": orders[:1] if came_back_first else orders},
        "carts": {"anna": {"Lamp": 5 if came_back_first else 2}},
    }

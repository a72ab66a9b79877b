"""Refunds, cancellations and returns at once: two transactions, interleaved."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone

from orders.fulfilment import NotDispatchableError, sale_dispatch
from orders.models import Payment, Sale
from products.models import Product
from retail.models import Email
from returns.errors import RefundProblemError, ReturnProblemError
from returns.models import Refund, Return, ReturnItem
from returns.refunds import refund_adopt, refund_request, refund_retry
from returns.services import (
    Inspected,
    order_cancel,
    return_approve,
    return_receive,
    return_refund,
    return_request,
)
from tests.postgres.interleaving import before_commit, interleave
from tests.postgres.test_return_locks import buy
from tests.support import ledger, make_product, unbalanced_products

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lamp() -> Product:
    return make_product("Lamp", "10.00", 10)


@pytest.fixture
def sale(anna: User, lamp: Product) -> Sale:
    """Return a paid order of three lamps out of ten, for 30.00."""
    return buy(anna, lamp)


@pytest.fixture
def sent(sale: Sale) -> Sale:
    sale_dispatch(reference=sale.reference, user_id=1)
    return sale


def refund(sale: Sale, amount: str, **options: Any) -> Callable[[], Refund]:
    """Return a call by which staff refund an amount of an order."""
    payment = sale.payments.get()
    return lambda: refund_request(
        payment=payment, amount=Decimal(amount), reason="goodwill", **options
    )


def adopt(of: Refund, status: str, failure: str = "") -> Callable[[], bool]:
    return lambda: refund_adopt(refund=of, status=status, failure=failure)


def cancel(sale: Sale, user_id: int) -> Callable[[], Refund | None]:
    return lambda: order_cancel(sale=sale, user_id=user_id)


def ask(sale: Sale, units: int, form_key: uuid.UUID | None = None) -> Callable[[], Return]:
    line = sale.items.get().pk
    return lambda: return_request(
        sale=sale, units={line: units}, reason="other", form_key=form_key or uuid.uuid4()
    )


def books(sale: Sale) -> tuple[Decimal, int]:
    """Return what is reserved of an order's payment, and the number of its refunds.

    What is reserved is the sum of the refunds that have not failed.
    """
    payment = sale.payments.get()
    refunds = list(payment.refunds.all())
    live = [row.amount for row in refunds if row.status not in {"FAILED", "CANCELLED"}]
    assert sum(live, Decimal(0)) == payment.refund_reserved
    return payment.refund_reserved, len(refunds)


def test_of_two_who_saw_the_same_the_second_is_told(sale: Sale) -> None:
    seen = Decimal(0)
    result = interleave(
        before_commit(refund(sale, "5.00", seen=seen)), refund(sale, "5.00", seen=seen)
    )
    assert isinstance(result.second, RefundProblemError)
    assert "Something was refunded since" in str(result.second)
    assert (result.waited, books(sale)) == (True, (Decimal("5.00"), 1))


def test_without_what_they_saw_both_refund(sale: Sale) -> None:
    result = interleave(before_commit(refund(sale, "5.00")), refund(sale, "5.00"))
    assert isinstance(result.second, Refund)
    assert books(sale) == (Decimal("10.00"), 2)


def test_the_first_prevents_nothing_if_it_is_rolled_back(sale: Sale) -> None:
    seen = Decimal(0)
    first = before_commit(refund(sale, "5.00", seen=seen), commits=False)
    result = interleave(first, refund(sale, "7.00", seen=seen))
    assert isinstance(result.second, Refund)
    assert books(sale) == (Decimal("7.00"), 1)


def test_a_double_click_is_one_refund(sale: Sale) -> None:
    form_key = uuid.uuid4()
    result = interleave(
        before_commit(refund(sale, "5.00", form_key=form_key)),
        refund(sale, "5.00", form_key=form_key),
    )
    assert result.first == result.second == Refund.objects.get()
    assert (result.waited, books(sale)) == (True, (Decimal("5.00"), 1))
    assert Email.objects.filter(kind="refund_requested").count() == 1


def test_without_the_lock_the_database_refuses_the_second_click(
    sale: Sale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
    form_key = uuid.uuid4()
    result = interleave(
        before_commit(refund(sale, "5.00", form_key=form_key)),
        refund(sale, "5.00", form_key=form_key),
    )
    assert isinstance(result.second, IntegrityError)
    assert books(sale) == (Decimal("5.00"), 1)


def test_buyer_and_staff_cancel_at_once(sale: Sale, lamp: Product) -> None:
    result = interleave(before_commit(cancel(sale, sale.user_id)), cancel(sale, 1))
    assert result.first == result.second == Refund.objects.get()
    assert (result.waited, books(sale)) == (True, (Decimal("30.00"), 1))
    assert ledger(lamp) == [
        (-3, "sale", sale.reference),
        (3, "cancel", sale.reference),
    ]
    assert Product.objects.get().stock == 10


def test_without_the_locks_the_order_is_still_cancelled_once(
    sale: Sale, lamp: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
    interleave(before_commit(cancel(sale, sale.user_id)), cancel(sale, 1))
    assert books(sale) == (Decimal("30.00"), 1)
    assert (Product.objects.get().stock, unbalanced_products()) == (10, [])
    assert [reason for _, reason, _ in ledger(lamp)] == ["sale", "cancel"]


def test_a_dispatch_prevents_cancellation_and_refund(sale: Sale) -> None:
    def dispatch() -> bool:
        return sale_dispatch(reference=sale.reference, user_id=1)

    result = interleave(before_commit(dispatch), cancel(sale, sale.user_id))
    assert isinstance(result.second, ReturnProblemError)
    assert (result.waited, books(sale)) == (True, (Decimal(0), 0))
    assert (Sale.objects.get().state, Product.objects.get().stock) == ("dispatched", 7)


def test_a_cancellation_prevents_the_dispatch(sale: Sale) -> None:
    result = interleave(
        before_commit(cancel(sale, sale.user_id)),
        lambda: sale_dispatch(reference=sale.reference, user_id=1),
    )
    assert isinstance(result.second, NotDispatchableError)
    assert (result.waited, books(sale)) == (True, (Decimal("30.00"), 1))
    assert (Sale.objects.get().state, Product.objects.get().stock) == ("refunded", 10)


def test_goodwill_and_cancellation_refund_together_what_was_paid(sale: Sale) -> None:
    result = interleave(before_commit(refund(sale, "4.01")), cancel(sale, sale.user_id))
    assert result.second.amount == Decimal("25.99")
    assert (result.waited, books(sale)) == (True, (Decimal("30.00"), 2))


def units_returned(sale: Sale) -> int:
    return sum(ReturnItem.objects.filter(of_return__sale=sale).values_list("requested", flat=True))


def test_the_last_units_are_returned_once(sent: Sale) -> None:
    result = interleave(before_commit(ask(sent, 2)), ask(sent, 2))
    assert isinstance(result.second, ReturnProblemError)
    assert (result.waited, units_returned(sent)) == (True, 2)


def test_a_double_click_is_one_return(sent: Sale) -> None:
    form_key = uuid.uuid4()
    result = interleave(before_commit(ask(sent, 1, form_key)), ask(sent, 1, form_key))
    assert result.first == result.second == Return.objects.get()
    assert units_returned(sent) == 1


def test_without_the_locks_too_many_units_are_returned(
    sent: Sale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
    result = interleave(before_commit(ask(sent, 2)), ask(sent, 2))
    assert isinstance(result.second, Return)
    assert units_returned(sent) == 4


def test_units_of_a_return_are_refunded_once(sent: Sale) -> None:
    of_return = ask(sent, 2)()
    item = of_return.items.get()
    return_approve(of_return=of_return, units={item.pk: 2})
    return_receive(of_return=of_return, inspected={item.pk: Inspected(sellable=2)})

    def close() -> Refund | None:
        return return_refund(of_return=of_return, amount=Decimal("20.00"), user_id=None)

    result = interleave(before_commit(close), close)
    assert result.first == result.second == Refund.objects.get()
    assert (result.waited, books(sent)) == (True, (Decimal("20.00"), 1))


def test_a_return_is_received_once(sent: Sale) -> None:
    of_return = ask(sent, 2)()
    item = of_return.items.get()
    return_approve(of_return=of_return, units={item.pk: 2})

    def receive() -> None:
        return_receive(of_return=of_return, inspected={item.pk: Inspected(sellable=2)})

    result = interleave(before_commit(receive), receive)
    assert isinstance(result.second, ReturnProblemError)
    assert (result.waited, Product.objects.get().stock, unbalanced_products()) == (True, 9, [])


def test_what_a_failed_refund_gives_back_can_be_refunded_at_once(sale: Sale) -> None:
    failing = refund(sale, "20.00")()
    result = interleave(before_commit(adopt(failing, "FAILED", "disputed")), refund(sale, "25.00"))
    assert isinstance(result.second, Refund)
    assert (result.waited, books(sale)) == (True, (Decimal("25.00"), 2))


def test_what_is_tried_again_is_not_refunded_twice(sale: Sale) -> None:
    failing = refund(sale, "20.00")()
    result = interleave(before_commit(adopt(failing, "FAILED")), refund(sale, "25.00"))
    assert isinstance(result.second, RefundProblemError)
    assert (result.waited, books(sale)) == (True, (Decimal("20.00"), 2))


def test_a_refund_requested_while_another_fails_fits_beside_it(sale: Sale) -> None:
    failing = refund(sale, "20.00")()
    result = interleave(before_commit(refund(sale, "10.00")), adopt(failing, "FAILED"))
    assert result.second is True
    assert (result.waited, books(sale)) == (True, (Decimal("30.00"), 3))


def test_a_failure_that_is_rolled_back_gives_nothing_back(sale: Sale) -> None:
    failing = refund(sale, "20.00")()
    first = before_commit(adopt(failing, "FAILED", "disputed"), commits=False)
    result = interleave(first, refund(sale, "25.00"))
    assert isinstance(result.second, RefundProblemError)
    assert books(sale) == (Decimal("20.00"), 1)


def test_a_failure_known_from_two_sources_is_adopted_once(sale: Sale) -> None:
    """The worker asks, and the list of changes says the same."""
    failing = refund(sale, "20.00")()
    result = interleave(before_commit(adopt(failing, "FAILED")), adopt(failing, "FAILED"))
    assert (result.first, result.second, result.waited) == (True, False, True)
    assert books(sale) == (Decimal("20.00"), 2)


def test_a_debt_is_settled_once(sale: Sale) -> None:
    failing = refund(sale, "20.00")()
    adopt(failing, "FAILED", "disputed")()

    def retry() -> Refund:
        return refund_retry(refund=Refund.objects.get(pk=failing.pk), user_id=None)

    result = interleave(before_commit(retry), retry)
    assert isinstance(result.second, RefundProblemError)
    assert (result.waited, books(sale)) == (True, (Decimal("20.00"), 2))


def test_all_money_of_an_order_is_returned_by_two_returns_at_once(sent: Sale) -> None:
    line = sent.items.get()
    returns = [ask(sent, 1)(), ask(sent, 2)()]
    for of_return in returns:
        item = of_return.items.get()
        return_approve(of_return=of_return, units={item.pk: item.requested})

    def receive(of_return: Return) -> Callable[[], None]:
        item = of_return.items.get()
        units = Inspected(sellable=item.requested)
        return lambda: return_receive(of_return=of_return, inspected={item.pk: units})

    Payment.objects.update(amount=Decimal("29.99"))  # it does not divide by three
    Sale.objects.update(total=Decimal("29.99"), dispatched_at=timezone.now())
    result = interleave(before_commit(receive(returns[0])), receive(returns[1]))
    assert (result.second, result.waited) == (None, True)
    values = ReturnItem.objects.filter(sale_item=line).values_list("value", flat=True)
    assert sum(values) == Decimal("29.99")

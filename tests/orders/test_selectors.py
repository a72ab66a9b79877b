"""What a checkout is told about the cart and its form."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from cart.models import CartItem
from cart.selectors import cart_lines, fingerprint
from orders import services
from orders.models import Sale
from orders.selectors import to_buy
from payments import breaker
from payments.models import CircuitBreaker
from payments.services import BreakerOpenError
from products.models import Product
from tests.support import ScriptedGateway, make_buyer, make_product, order_for, order_of

pytestmark = pytest.mark.django_db(transaction=True)
FORM = uuid.UUID("7f2b8a3e-5c1d-4e6f-8a9b-0c1d2e3f4a5b")


@pytest.fixture
def buyer() -> User:
    return make_buyer()


@pytest.fixture
def lamp() -> Product:
    return make_product("Lamp", "12.30", 5)


def test_the_lines_are_those_of_the_cart_in_the_order_of_the_products(
    buyer: User, lamp: Product
) -> None:
    chair = make_product("A chair", "7.00", 1)
    order_for(buyer, chair, 2)
    order_for(buyer, lamp, 3)
    order_for(make_buyer("other"), lamp, 4)
    found = to_buy(user_id=buyer.pk, idempotency_key=FORM)
    expected = cart_lines(CartItem.objects.filter(cart__user=buyer))
    assert found.lines == expected
    assert [line.quantity for line in found.lines] == [3, 2]
    assert fingerprint(found.lines) == fingerprint(expected)
    assert found.form_used is False


def test_the_breaker_is_read_along_as_it_is(buyer: User, lamp: Product) -> None:
    order_for(buyer, lamp)
    assert to_buy(user_id=buyer.pk, idempotency_key=FORM).breaker is None  # nobody asked it yet
    breaker.report(breaker.acquire("x"), succeeded=False)
    read = to_buy(user_id=buyer.pk, idempotency_key=FORM).breaker
    expected = CircuitBreaker.objects.get()
    assert read == expected
    assert {**vars(read), "_state": None} == {**vars(expected), "_state": None}
    assert read is not None
    assert read.failures == 1


def test_what_was_read_of_the_breaker_is_not_read_again_unless_it_has_changed(
    buyer: User,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    breaker.acquire("the first makes its row")
    closed = CircuitBreaker.objects.get()
    with django_assert_num_queries(0):
        assert breaker.acquire("a", closed).failures == 0
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    CircuitBreaker.objects.update(opened_at=timezone.now() - timedelta(hours=1))
    due = CircuitBreaker.objects.get()
    assert breaker.acquire("a", due).probe  # the row as it was seen is swapped
    with pytest.raises(BreakerOpenError):
        breaker.acquire("b", due)  # somebody was quicker: it is looked at again
    assert CircuitBreaker.objects.get().probe == "a"


def test_a_force_that_is_over_ends_also_if_it_was_read_along(buyer: User) -> None:
    breaker.acquire("the first makes its row")
    CircuitBreaker.objects.update(
        state="open",
        opened_at=timezone.now(),
        forced_state="open",
        forced_reason="drill",
        forced_by="ada",
        forced_until=timezone.now() - timedelta(seconds=1),
    )
    assert breaker.acquire("a", CircuitBreaker.objects.get()).probe
    after = CircuitBreaker.objects.get()
    assert (after.state, after.forced_state, after.probe) == ("half_open", "", "a")


def test_a_form_is_used_by_its_own_customers_order_only(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    order_for(buyer, lamp)
    services.sale_checkout(order=order_of(buyer, key=FORM))
    assert to_buy(user_id=buyer.pk, idempotency_key=FORM).form_used is None
    order_for(buyer, lamp)
    assert to_buy(user_id=buyer.pk, idempotency_key=FORM).form_used is True
    assert to_buy(user_id=buyer.pk, idempotency_key=uuid.uuid4()).form_used is False
    other = make_buyer("other")
    order_for(other, lamp)
    assert to_buy(user_id=other.pk, idempotency_key=FORM).form_used is False


def test_a_refusal_looks_for_the_forms_order_where_nobody_has(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    order_for(buyer, lamp)
    made = services.sale_checkout(order=order_of(buyer, key=FORM))
    order_for(buyer, lamp)
    again = order_of(buyer, key=FORM)
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    assert services.sale_checkout(order=again) == made
    with pytest.raises(BreakerOpenError):
        services.sale_checkout(order=replace(again, form_used=False))
    assert Sale.objects.get() == made


def test_two_sendings_at_once_are_one_order_though_both_saw_none(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    order_for(buyer, lamp)
    order = replace(order_of(buyer, key=FORM), form_used=False)
    made = services.sale_checkout(order=order)
    assert services.sale_checkout(order=order) == made
    assert Sale.objects.get() == made

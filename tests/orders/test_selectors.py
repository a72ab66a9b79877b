"""What a checkout reads about the cart, its form and the breaker."""

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


def test_the_lines_are_the_carts_sorted_by_product(buyer: User, lamp: Product) -> None:
    chair = make_product("A chair", "7.00", 1)
    order_for(buyer, chair, 2)
    order_for(buyer, lamp, 3)
    order_for(make_buyer("other"), lamp, 4)
    cart = to_buy(user_id=buyer.pk, idempotency_key=FORM)
    expected = cart_lines(CartItem.objects.filter(cart__user=buyer))
    assert cart.lines == expected
    assert [line.quantity for line in cart.lines] == [3, 2]
    assert fingerprint(cart.lines) == fingerprint(expected)
    assert cart.form_used is False


def test_the_breaker_is_read_along_with_the_cart(buyer: User, lamp: Product) -> None:
    order_for(buyer, lamp)
    assert to_buy(user_id=buyer.pk, idempotency_key=FORM).breaker is None  # no row yet
    breaker.report(breaker.acquire("x"), succeeded=False)
    row = to_buy(user_id=buyer.pk, idempotency_key=FORM).breaker
    expected = CircuitBreaker.objects.get()
    assert row == expected
    assert {**vars(row), "_state": None} == {**vars(expected), "_state": None}
    assert row is not None
    assert row.failures == 1


def test_a_known_breaker_row_is_not_read_again_unless_it_has_changed(
    buyer: User,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    breaker.acquire("creates the row")
    closed = CircuitBreaker.objects.get()
    with django_assert_num_queries(0):
        assert breaker.acquire("a", closed).failures == 0
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    CircuitBreaker.objects.update(opened_at=timezone.now() - timedelta(hours=1))
    due = CircuitBreaker.objects.get()
    assert breaker.acquire("a", due).probe  # compare-and-set on the known row
    with pytest.raises(BreakerOpenError):
        breaker.acquire("b", due)  # the row has changed: it is read again
    assert CircuitBreaker.objects.get().probe == "a"


def test_an_expired_force_in_a_known_row_is_ended(buyer: User) -> None:
    breaker.acquire("creates the row")
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


def test_a_form_counts_as_used_only_by_its_own_customer(
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


def test_a_refusal_looks_up_the_forms_order_unless_the_form_was_unused(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    order_for(buyer, lamp)
    placed = services.sale_checkout(order=order_of(buyer, key=FORM))
    order_for(buyer, lamp)
    again = order_of(buyer, key=FORM)
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    assert services.sale_checkout(order=again) == placed
    with pytest.raises(BreakerOpenError):
        services.sale_checkout(order=replace(again, form_used=False))
    assert Sale.objects.get() == placed


def test_two_concurrent_submissions_place_one_order_though_neither_saw_one(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    order_for(buyer, lamp)
    order = replace(order_of(buyer, key=FORM), form_used=False)
    placed = services.sale_checkout(order=order)
    assert services.sale_checkout(order=order) == placed
    assert Sale.objects.get() == placed

import html
import re
import uuid
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from cart.models import CartItem
from cart.selectors import cart_lines, fingerprint
from orders.models import Payment, Sale
from payments import breaker
from payments.gateway import Answer, NoAnswerError
from payments.models import CircuitBreaker
from products.models import Product
from tests.support import (
    ScriptedGateway,
    make_buyer,
    make_product,
    moved,
    order_for,
    send_emails,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def buyer() -> User:
    return make_buyer()


@pytest.fixture
def shopper(buyer: User, client: Client) -> Client:
    client.force_login(buyer)
    return client


@pytest.fixture
def lamp(buyer: User) -> Product:
    """Return a product; the buyer's cart contains two of it."""
    product = make_product("Lamp", "10.00", 5)
    order_for(buyer, product, 2)
    return product


def form(**changes: str) -> dict[str, str]:
    return {
        "delivery_name": "Bea Buyer",
        "delivery_address": "1 Example Street",
        "payment_token": "tok_good",
        "idempotency_key": str(uuid.uuid4()),
        "lines_shown": fingerprint(cart_lines(CartItem.objects.all())),
        **changes,
    }


def state() -> tuple[int, int, int]:
    """Return the number of orders, the stock left and the units in carts."""
    in_carts = sum(CartItem.objects.values_list("quantity", flat=True))
    return Sale.objects.count(), sum(Product.objects.values_list("stock", flat=True)), in_carts


def test_the_checkout_page_shows_lines_total_and_a_fresh_key(
    shopper: Client, lamp: Product
) -> None:
    first, second = shopper.get("/checkout/"), shopper.get("/checkout/")
    assert first.status_code == 200
    assert first.context["total"] == Decimal("20.00")
    keys = [page.context["form"]["idempotency_key"].value() for page in (first, second)]
    assert keys[0] != keys[1]
    assert "€20.00" in first.content.decode()


def test_a_checkout_redirects_to_the_confirmed_order_and_saves_the_address(
    shopper: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    answer = shopper.post("/checkout/", form())
    sale = Sale.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/orders/{sale.reference}/")
    page = shopper.get(answer.headers["Location"])
    assert page.status_code == 200
    assert page.context["pending"] is False
    assert "your receipt" not in page.content.decode()
    assert sale.status == "CONFIRMED"
    assert (sale.delivery_name, sale.delivery_address) == ("Bea Buyer", "1 Example Street")
    assert sale.request_id == answer.headers["X-Request-ID"]
    send_emails()
    page = shopper.get(answer.headers["Location"])
    assert "We've e-mailed your receipt." in page.content.decode()
    buyer.refresh_from_db()
    assert (buyer.profile.full_name, buyer.profile.address) == ("Bea Buyer", "1 Example Street")


def test_a_customer_without_an_address_is_not_promised_a_receipt(
    shopper: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    User.objects.update(email="")
    order_url = shopper.post("/checkout/", form()).headers["Location"]
    send_emails()
    assert not mail.outbox
    assert "your receipt" not in shopper.get(order_url).content.decode()


def test_resubmitting_the_form_redirects_to_the_same_order(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    data = form()
    answers = [shopper.post("/checkout/", data) for _ in range(3)]
    assert {answer.headers["Location"] for answer in answers} == {
        f"/orders/{Sale.objects.get().reference}/"
    }
    assert len(scripted_gateway.charged) == 1


def test_a_resubmitted_form_redirects_to_its_order_while_the_breaker_is_open(
    shopper: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    data = form()
    first = shopper.post("/checkout/", data)
    order_for(buyer, lamp, 2)
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    with moved() as changes:
        again = shopper.post("/checkout/", data)
    assert (again.status_code, again.headers["Location"]) == (302, first.headers["Location"])
    assert {name: value for name, value in changes.items() if "http" not in name} == {
        'retail_payment_attempts_total{outcome="short_circuited"}': 1
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"delivery_name": ""},
        {"delivery_name": "x" * 121},
        {"delivery_address": ""},
        {"payment_token": "tok_stolen"},
        {"idempotency_key": "not-a-uuid"},
        {"idempotency_key": ""},
        {"lines_shown": ""},
        {"lines_shown": "x" * 65},
    ],
)
def test_an_invalid_form_is_400_and_changes_nothing(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway, changes: dict[str, str]
) -> None:
    answer = shopper.post("/checkout/", form(**changes))
    assert answer.status_code == 400
    assert answer.context["form"].errors.keys() == changes.keys()
    assert state() == (0, 5, 2)
    assert scripted_gateway.charged == []


def test_a_changed_price_is_shown_before_it_is_charged(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    data = form()
    Product.objects.update(price=Decimal("12.00"))
    answer = shopper.post("/checkout/", data)
    assert answer.status_code == 409
    assert answer.context["refusal"].title == "Your order has changed"
    assert state() == (0, 5, 2)
    again = answer.context["form"]
    assert answer.context["total"] == Decimal("24.00")
    assert str(again["idempotency_key"].value()) == data["idempotency_key"]
    assert (
        shopper.post(
            "/checkout/", form(**data | {"lines_shown": again["lines_shown"].value()})
        ).status_code
        == 302
    )


def test_sold_out_is_409_with_an_explanation_and_the_cart_is_kept(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    CartItem.objects.update(quantity=6)
    answer = shopper.post("/checkout/", form())
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "Lamp: only 5 left, and your cart has 6." in page
    assert "You haven't been charged, and your cart is saved." in page
    assert state() == (0, 5, 6)


def test_an_open_breaker_is_503_with_the_time_to_wait_and_timed_as_a_fast_fail(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    with moved() as changes:
        answer = shopper.post("/checkout/", form())
    assert answer.status_code == 503
    wait = int(answer.headers["Retry-After"])
    assert 1 <= wait <= 3600
    unit = "second" if wait == 1 else "seconds"
    assert f"Try again in {wait} {unit}." in answer.content.decode()
    assert changes["retail_fast_fail_duration_seconds_count"] == 1
    assert state() == (0, 5, 2)


@pytest.mark.parametrize(("passed", "wait"), [(3.5, "2 seconds."), (4.5, "1 second.")])
def test_the_time_to_wait_is_pluralised(
    shopper: Client,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    passed: float,
    wait: str,
) -> None:
    settings.BREAKER_RESET_SECONDS = 5
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    opened_at = CircuitBreaker.objects.get().opened_at
    assert opened_at is not None
    now = opened_at + timedelta(seconds=passed)
    monkeypatch.setattr("payments.breaker.timezone.now", lambda: now)
    page = shopper.post("/checkout/", form()).content.decode()
    assert f"Try again in {wait}" in page


def test_a_resubmitted_form_redirects_to_its_order_after_its_product_left_the_shop(
    shopper: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    data = form()
    first = shopper.post("/checkout/", data)
    order_for(buyer, lamp, 2)
    Product.objects.update(is_active=False)
    again = shopper.post("/checkout/", data)
    assert (again.status_code, again.headers["Location"]) == (302, first.headers["Location"])
    assert Sale.objects.count() == 1


def test_a_refused_form_can_be_resubmitted_unchanged_whatever_it_contains(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    data = form(
        delivery_name='"><script>alert(1)</script>',
        delivery_address='<!-- fields -->\n1 "Long" Street & Co',
        email="bea@example.com",
    )
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    for _ in range(2):  # the second page reuses the first one's template
        page = shopper.post("/checkout/", data).content.decode()
        assert "<script" not in page
        assert page.count("<!--") == 0
        fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
        assert len(fields) == page.count("<input")
        again = {name: html.unescape(value) for name, value in fields}
        assert again.pop("csrfmiddlewaretoken")
        assert again == data
    CircuitBreaker.objects.update(state="closed")
    assert shopper.post("/checkout/", again).status_code == 302
    assert Sale.objects.get().delivery_address == data["delivery_address"]


def test_too_many_attempts_are_429_with_the_time_to_wait(
    shopper: Client,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.THROTTLE_CHECKOUT_LIMIT = 1
    # Both requests fall into the same window.
    monkeypatch.setattr("retail.throttling.time", SimpleNamespace(time=lambda: 999.5))
    scripted_gateway.answers = [Answer.DECLINED]
    shopper.post("/checkout/", form())
    answer = shopper.post("/checkout/", form())
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "21"
    assert "Try again in 21 seconds." in answer.content.decode()
    assert state() == (1, 5, 2)


def test_an_empty_cart_redirects_to_the_cart(shopper: Client, buyer: User) -> None:
    for answer in (shopper.get("/checkout/"), shopper.post("/checkout/", form())):
        assert (answer.status_code, answer.headers["Location"]) == (302, "/cart/")


def test_a_pending_order_page_polls_its_status_and_a_finished_one_does_not(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [NoAnswerError()]
    order_url = shopper.post("/checkout/", form()).headers["Location"]
    page = shopper.get(order_url).content.decode()
    assert f'hx-get="{order_url}status/"' in page
    assert '<meta http-equiv="refresh" content="3">' in page
    assert "won't be charged twice" in shopper.get(f"{order_url}status/").content.decode()
    Payment.objects.update(status="COMPLETED")
    Sale.objects.update(status="CONFIRMED")
    for address in (order_url, f"{order_url}status/"):
        assert "hx-get" not in shopper.get(address).content.decode()


def test_another_customers_order_is_404(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    order_url = shopper.post("/checkout/", form()).headers["Location"]
    stranger = Client()
    stranger.force_login(make_buyer("stranger"))
    for address in (order_url, f"{order_url}status/"):
        assert stranger.get(address).status_code == 404
    assert stranger.get("/orders/").context["page_obj"].paginator.count == 0
    assert shopper.get("/orders/").context["page_obj"].paginator.count == 1


@pytest.mark.parametrize("address", ["/checkout/", "/orders/", "/orders/VT-X/"])
def test_anonymous_visitors_are_asked_to_log_in(client: Client, address: str) -> None:
    answer = client.get(address)
    assert answer.headers["Location"] == f"/accounts/login/?next={address}"


def test_the_order_page_makes_a_fixed_number_of_queries(
    shopper: Client,
    buyer: User,
    scripted_gateway: ScriptedGateway,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(6):
        order_for(buyer, make_product(f"P{number}", "1.00"))
    order_url = shopper.post("/checkout/", form()).headers["Location"]
    # Session, user, sale, items, products, categories, payments, cart.
    with django_assert_max_num_queries(8):
        shopper.get(order_url)


def test_a_changed_cart_with_the_same_total_is_not_ordered(
    shopper: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    data = form()
    CartItem.objects.all().delete()
    order_for(buyer, make_product("Teapot", "10.00", 5), 2)
    answer = shopper.post("/checkout/", data)
    assert (answer.status_code, answer.context["total"]) == (409, Decimal("20.00"))
    assert answer.context["refusal"].title == "Your order has changed"
    assert scripted_gateway.charged == []


def test_a_product_no_longer_on_sale_is_not_counted_as_sold_out(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    Product.objects.update(is_active=False)
    with moved() as changes:
        answer = shopper.post("/checkout/", form())
    assert answer.status_code == 409
    assert "Lamp is no longer on sale." in answer.content.decode()
    assert "retail_sold_out_total" not in changes
    assert state() == (0, 5, 2)


def test_a_form_resubmitted_after_its_card_was_declined_gets_a_new_key(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    data = form(payment_token="tok_declined")
    scripted_gateway.answers = [Answer.DECLINED, Answer.APPROVED]
    assert shopper.post("/checkout/", data).status_code == 302
    answer = shopper.post("/checkout/", {**data, "payment_token": "tok_good"})
    assert answer.status_code == 409
    assert answer.context["refusal"].title == "Your payment failed"
    key = answer.context["form"]["idempotency_key"].value()
    assert str(key) != data["idempotency_key"]
    again = {**data, "payment_token": "tok_good", "idempotency_key": str(key)}
    assert shopper.post("/checkout/", again).status_code == 302
    assert sorted(Sale.objects.values_list("status", flat=True)) == ["CONFIRMED", "FAILED"]
    assert state() == (2, 3, 0)


def test_a_flash_sale_that_has_ended_is_not_charged_at_the_regular_price(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    now = timezone.now()
    Product.objects.update(
        flash_price=Decimal("7.00"),
        flash_starts_at=now - timedelta(hours=2),
        flash_ends_at=now + timedelta(hours=2),
    )
    data = form()
    Product.objects.update(flash_ends_at=now - timedelta(seconds=1))
    answer = shopper.post("/checkout/", data)
    assert answer.status_code == 409
    assert answer.context["total"] == Decimal("20.00")
    assert scripted_gateway.charged == []

import html
import re
import uuid
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from cart.models import CartItem
from cart.selectors import cart_lines, fingerprint
from orders.confirmation_email import send_confirmation
from orders.models import Payment, Sale
from payments import breaker
from payments.gateway import Answer, NoAnswerError
from payments.models import CircuitBreaker
from products.models import Product
from tests.support import ScriptedGateway, make_buyer, make_product, moved, order_for

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
    """Return a product of which two are in the buyer's cart."""
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
    """Return how many orders there are, the stock left, and pieces in carts."""
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


def test_buying_ends_on_a_confirmed_order_and_remembers_the_address(
    shopper: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    answer = shopper.post("/checkout/", form())
    sale = Sale.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/orders/{sale.reference}/")
    page = shopper.get(answer.headers["Location"])
    assert page.status_code == 200
    assert page.context["pending"] is False
    assert sale.status == "CONFIRMED"
    assert (sale.delivery_name, sale.delivery_address) == ("Bea Buyer", "1 Example Street")
    assert sale.request_id == answer.headers["X-Request-ID"]
    send_confirmation(sale.pk)  # as the worker would
    buyer.refresh_from_db()
    assert (buyer.profile.full_name, buyer.profile.address) == ("Bea Buyer", "1 Example Street")


def test_the_same_form_sent_again_leads_to_the_same_order(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    sent = form()
    answers = [shopper.post("/checkout/", sent) for _ in range(3)]
    assert {answer.headers["Location"] for answer in answers} == {
        f"/orders/{Sale.objects.get().reference}/"
    }
    assert len(scripted_gateway.charged) == 1


def test_the_same_form_leads_to_its_order_also_if_no_other_could_be_made_now(
    shopper: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    sent = form()
    first = shopper.post("/checkout/", sent)
    order_for(buyer, lamp, 2)
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    with moved() as changes:
        again = shopper.post("/checkout/", sent)
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
def test_a_bad_form_is_answered_with_400_and_changes_nothing(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway, changes: dict[str, str]
) -> None:
    answer = shopper.post("/checkout/", form(**changes))
    assert answer.status_code == 400
    assert answer.context["form"].errors.keys() == changes.keys()
    assert state() == (0, 5, 2)
    assert scripted_gateway.charged == []


def test_a_price_that_changed_since_is_shown_before_it_is_charged(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    sent = form()
    Product.objects.update(price=Decimal("12.00"))
    answer = shopper.post("/checkout/", sent)
    assert answer.status_code == 409
    assert answer.context["problem"].title == "Something has changed"
    assert state() == (0, 5, 2)
    again = answer.context["form"]
    assert answer.context["total"] == Decimal("24.00")
    assert str(again["idempotency_key"].value()) == sent["idempotency_key"]
    assert (
        shopper.post(
            "/checkout/", form(**sent | {"lines_shown": again["lines_shown"].value()})
        ).status_code
        == 302
    )


def test_sold_out_is_409_with_a_sentence_and_the_cart_is_kept(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    CartItem.objects.update(quantity=6)
    answer = shopper.post("/checkout/", form())
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "Lamp is sold out, or fewer are left" in page
    assert "Nothing was charged and your cart is kept" in page
    assert state() == (0, 5, 6)


def test_an_open_breaker_is_503_with_the_time_to_wait_and_is_measured_as_a_fast_fail(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    with moved() as changes:
        answer = shopper.post("/checkout/", form())
    assert answer.status_code == 503
    wait = int(answer.headers["Retry-After"])
    assert 1 <= wait <= 3600
    assert f"Try again in {wait} seconds" in answer.content.decode()
    assert changes["retail_fast_fail_duration_seconds_count"] == 1
    assert state() == (0, 5, 2)


def test_the_same_form_leads_to_its_order_also_if_its_product_has_left_the_shop(
    shopper: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    sent = form()
    first = shopper.post("/checkout/", sent)
    order_for(buyer, lamp, 2)
    Product.objects.update(is_active=False)
    again = shopper.post("/checkout/", sent)
    assert (again.status_code, again.headers["Location"]) == (302, first.headers["Location"])
    assert Sale.objects.count() == 1


def test_a_refused_form_can_be_sent_again_as_it_was_whatever_is_in_it(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    sent = form(
        delivery_name='"><script>alert(1)</script>',
        delivery_address='<!-- fields -->\n1 "Long" Street & Co',
    )
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    for _ in range(2):  # the second is made of what is left of the first
        page = shopper.post("/checkout/", sent).content.decode()
        assert "<script" not in page
        assert page.count("<!--") == 0
        fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
        assert len(fields) == page.count("<input")
        again = {name: html.unescape(value) for name, value in fields}
        assert again.pop("csrfmiddlewaretoken")
        assert again == sent
    CircuitBreaker.objects.update(state="closed")
    assert shopper.post("/checkout/", again).status_code == 302
    assert Sale.objects.get().delivery_address == sent["delivery_address"]


def test_asking_too_often_is_429_with_the_time_to_wait(
    shopper: Client,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.THROTTLE_CHECKOUT_LIMIT = 1
    # No minute ends between the two.
    monkeypatch.setattr("retail.throttling.time", SimpleNamespace(time=lambda: 999.5))
    scripted_gateway.answers = [Answer.DECLINED]
    shopper.post("/checkout/", form())
    answer = shopper.post("/checkout/", form())
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "21"
    assert "Try again in 21 seconds" in answer.content.decode()
    assert state() == (1, 5, 2)


def test_an_empty_cart_leads_back_to_the_cart(shopper: Client, buyer: User) -> None:
    for answer in (shopper.get("/checkout/"), shopper.post("/checkout/", form())):
        assert (answer.status_code, answer.headers["Location"]) == (302, "/cart/")


def test_a_pending_order_follows_its_payment_and_a_finished_one_does_not(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [NoAnswerError()]
    where = shopper.post("/checkout/", form()).headers["Location"]
    page = shopper.get(where).content.decode()
    assert f'hx-get="{where}status/"' in page
    assert '<meta http-equiv="refresh" content="3">' in page
    assert "will not be charged twice" in shopper.get(f"{where}status/").content.decode()
    Payment.objects.update(status="COMPLETED")
    Sale.objects.update(status="CONFIRMED")
    for address in (where, f"{where}status/"):
        assert "hx-get" not in shopper.get(address).content.decode()


def test_another_customers_order_is_as_good_as_none(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    where = shopper.post("/checkout/", form()).headers["Location"]
    stranger = Client()
    stranger.force_login(make_buyer("stranger"))
    for address in (where, f"{where}status/"):
        assert stranger.get(address).status_code == 404
    assert stranger.get("/orders/").context["page_obj"].paginator.count == 0
    assert shopper.get("/orders/").context["page_obj"].paginator.count == 1


@pytest.mark.parametrize("address", ["/checkout/", "/orders/", "/orders/VT-X/"])
def test_who_is_not_logged_in_is_asked_to(client: Client, address: str) -> None:
    answer = client.get(address)
    assert answer.headers["Location"] == f"/accounts/login/?next={address}"


def test_the_order_page_costs_a_fixed_number_of_queries(
    shopper: Client,
    buyer: User,
    scripted_gateway: ScriptedGateway,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(6):
        order_for(buyer, make_product(f"P{number}", "1.00"))
    where = shopper.post("/checkout/", form()).headers["Location"]
    # Session, user, sale, items, products, categories, payments, cart.
    with django_assert_max_num_queries(8):
        shopper.get(where)


def test_the_same_total_for_other_things_is_not_bought(
    shopper: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    sent = form()
    CartItem.objects.all().delete()
    order_for(buyer, make_product("Teapot", "10.00", 5), 2)
    answer = shopper.post("/checkout/", sent)
    assert (answer.status_code, answer.context["total"]) == (409, Decimal("20.00"))
    assert answer.context["problem"].title == "Something has changed"
    assert scripted_gateway.charged == []


def test_a_product_that_left_the_shop_is_told_as_that_and_not_counted_as_sold_out(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    Product.objects.update(is_active=False)
    with moved() as changes:
        answer = shopper.post("/checkout/", form())
    assert answer.status_code == 409
    assert "Lamp has left the shop" in answer.content.decode()
    assert "retail_sold_out_total" not in changes
    assert state() == (0, 5, 2)


def test_a_form_sent_again_after_its_card_was_declined_gets_a_new_key(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    sent = form(payment_token="tok_declined")
    scripted_gateway.answers = [Answer.DECLINED, Answer.APPROVED]
    assert shopper.post("/checkout/", sent).status_code == 302
    answer = shopper.post("/checkout/", {**sent, "payment_token": "tok_good"})
    assert answer.status_code == 409
    assert answer.context["problem"].title == "The first try did not go through"
    key = answer.context["form"]["idempotency_key"].value()
    assert str(key) != sent["idempotency_key"]
    again = {**sent, "payment_token": "tok_good", "idempotency_key": str(key)}
    assert shopper.post("/checkout/", again).status_code == 302
    assert sorted(Sale.objects.values_list("status", flat=True)) == ["CONFIRMED", "FAILED"]
    assert state() == (2, 3, 0)


def test_a_flash_sale_that_ended_since_is_not_charged_at_the_higher_price(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    now = timezone.now()
    Product.objects.update(
        flash_price=Decimal("7.00"),
        flash_starts_at=now - timedelta(hours=2),
        flash_ends_at=now + timedelta(hours=2),
    )
    sent = form()
    Product.objects.update(flash_ends_at=now - timedelta(seconds=1))
    answer = shopper.post("/checkout/", sent)
    assert answer.status_code == 409
    assert answer.context["total"] == Decimal("20.00")
    assert scripted_gateway.charged == []

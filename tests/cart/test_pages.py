"""Cart pages: whose cart a request uses, and which requests are refused."""

import pytest
from django.test import Client

from cart.models import Cart, CartItem
from products.models import Product
from tests.support import make_buyer, make_product

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-battery"


def put(client: Client, product_id: object, quantity: object = 1, action: str = "add") -> int:
    """Submit one of the cart's forms; return the status code."""
    form = {"product_id": product_id, "quantity": quantity}
    return client.post(f"/cart/{action}/", form).status_code


def shown(client: Client) -> dict[str, int]:
    response = client.get("/cart/")
    assert response.status_code == 200
    return {line.product.name: line.quantity for line in response.context["lines"]}


@pytest.fixture
def lamp() -> Product:
    return make_product("Lamp", stock=20)


def test_a_visitor_has_a_cart(client: Client, lamp: Product) -> None:
    assert shown(client) == {}
    assert Cart.objects.count() == 0  # viewing the cart creates none
    response = client.post("/cart/add/", {"product_id": lamp.pk, "quantity": 2})
    assert (response.status_code, response.headers["Location"]) == (302, "/cart/")
    assert "Lamp is in your cart (2)." in client.get("/cart/").content.decode()
    assert put(client, lamp.pk, 3) == 302
    assert shown(client) == {"Lamp": 5}
    assert put(client, lamp.pk, 4, "update") == 302
    assert shown(client) == {"Lamp": 4}
    assert put(client, lamp.pk, 0, "update") == 302
    assert shown(client) == {}
    assert Cart.objects.count() == 1


def test_a_cart_holds_at_most_ten_of_a_product(client: Client, lamp: Product) -> None:
    assert put(client, lamp.pk, 10) == 302
    assert put(client, lamp.pk, 1) == 302
    assert shown(client) == {"Lamp": 10}
    assert put(client, lamp.pk, 11) == 400
    assert put(client, lamp.pk, 11, "update") == 400
    assert shown(client) == {"Lamp": 10}


@pytest.mark.parametrize("action", ["add", "update"])
@pytest.mark.parametrize(
    "form",
    [
        {},
        {"product_id": "1"},
        {"quantity": "1"},
        {"product_id": "one", "quantity": "1"},
        {"product_id": "0", "quantity": "1"},
        {"product_id": "-1", "quantity": "1"},
        {"product_id": str(2**63), "quantity": "1"},
        {"product_id": "1", "quantity": "-1"},
        {"product_id": "1", "quantity": "1.5"},
        {"product_id": "1", "quantity": "many"},
        {"product_id": "1\x00", "quantity": "1"},
        {"product_id": "9" * 5000, "quantity": "1"},
    ],
)
def test_an_invalid_form_is_refused(client: Client, action: str, form: dict[str, str]) -> None:
    response = client.post(f"/cart/{action}/", form)
    assert response.status_code == 400
    assert "We couldn&#x27;t update your cart" in response.content.decode()
    assert Cart.objects.count() == 0


def test_a_product_that_is_not_on_sale_is_404(client: Client) -> None:
    hidden = make_product("Hidden", is_active=False)
    for product_id in (hidden.pk, hidden.pk + 1000, 2**63 - 1):
        assert put(client, product_id) == 404
    assert Cart.objects.count() == 0


def test_a_sold_out_product_is_not_added(client: Client) -> None:
    gone = make_product("Gone", stock=0)
    response = client.post("/cart/add/", {"product_id": gone.pk, "quantity": 1}, follow=True)
    assert response.redirect_chain == [(f"/products/{gone.slug}/", 302)]
    assert "Gone is sold out." in response.content.decode()
    assert shown(client) == {}


def test_at_least_one_is_added(client: Client, lamp: Product) -> None:
    response = client.post("/cart/add/", {"product_id": lamp.pk, "quantity": 0}, follow=True)
    assert response.redirect_chain == [(f"/products/{lamp.slug}/", 302)]
    assert "Choose at least one." in response.content.decode()
    assert shown(client) == {}


@pytest.mark.parametrize("action", ["add", "update"])
def test_get_requests_change_nothing(client: Client, lamp: Product, action: str) -> None:
    response = client.get(f"/cart/{action}/", {"product_id": lamp.pk, "quantity": 1})
    assert response.status_code == 405
    assert client.post("/cart/").status_code == 405
    assert Cart.objects.count() == 0


def test_cross_site_forms_are_refused(lamp: Product) -> None:
    client = Client(enforce_csrf_checks=True)
    assert put(client, lamp.pk) == 403
    assert Cart.objects.count() == 0


def test_a_visitors_cart_is_found_only_through_the_session(client: Client, lamp: Product) -> None:
    put(client, lamp.pk, 2)
    cart = Cart.objects.get()
    stranger = Client()
    form = {"product_id": lamp.pk, "quantity": 0, "cart": cart.pk, "cart_id": cart.pk}
    stranger.cookies["cart"] = str(cart.pk)
    assert stranger.get("/cart/", {"cart": cart.pk}).context["lines"] == []
    assert stranger.post("/cart/update/", form).status_code == 302
    assert shown(client) == {"Lamp": 2}


def test_a_session_that_names_a_customers_cart_does_not_open_it(lamp: Product) -> None:
    bea = Client()
    bea.force_login(make_buyer("bea"))
    put(bea, lamp.pk, 2)
    visitor = Client()
    session = visitor.session
    session["cart"] = Cart.objects.get().pk  # a visitor's old cart id, since reused
    session.save()
    assert shown(visitor) == {}
    put(visitor, lamp.pk, 5)
    assert (shown(bea), shown(visitor)) == ({"Lamp": 2}, {"Lamp": 5})


@pytest.mark.parametrize("address", ["/accounts/login/", "/accounts/register/"])
def test_logging_in_merges_the_visitors_cart(client: Client, lamp: Product, address: str) -> None:
    put(client, lamp.pk, 2)
    if address == "/accounts/login/":
        bea = make_buyer("bea")
        own = Client()
        own.force_login(bea)
        put(own, lamp.pk, 3)
    form = {"username": "bea", "password": PASSWORD, "password1": PASSWORD, "password2": PASSWORD}
    assert client.post(address, form).status_code == 302
    expected = {"Lamp": 5 if address == "/accounts/login/" else 2}
    assert shown(client) == expected
    assert shown(client) == expected  # only once
    (cart,) = Cart.objects.all()
    assert cart.user is not None
    client.post("/accounts/logout/")
    assert shown(client) == {}


TOGETHER = "were put together."
MOST = "You can order at most 10 of a product."


def merged(visitors: int, own: int, lamp: Product) -> tuple[Client, str]:
    """Log in with a visitor's cart; return the client and the next page."""
    client, bea = Client(), Client()
    put(client, lamp.pk, visitors)
    bea.force_login(make_buyer("bea"))
    if own:
        put(bea, lamp.pk, own)
    client.get("/cart/")  # reads what adding has to say
    form = {"username": "bea", "password": PASSWORD, "next": "/cart/"}
    return client, client.post("/accounts/login/", form, follow=True).content.decode()


def test_customers_are_told_once_that_carts_were_put_together(lamp: Product) -> None:
    client, page = merged(2, 3, lamp)
    assert (page.count(TOGETHER), page.count(MOST)) == (1, 0)
    assert TOGETHER not in client.get("/cart/").content.decode()


def test_customers_are_told_if_putting_carts_together_reduced_them(lamp: Product) -> None:
    client, page = merged(7, 4, lamp)
    assert (page.count(TOGETHER), page.count(MOST)) == (1, 1)
    assert shown(client) == {"Lamp": 10}


def test_a_visitors_cart_that_becomes_the_customers_needs_no_words(lamp: Product) -> None:
    client, page = merged(7, 0, lamp)
    assert TOGETHER not in page
    assert shown(client) == {"Lamp": 7}


def test_merged_carts_beyond_the_stock_show_what_is_left_and_take_it_with_one_click() -> None:
    lamp = make_product("Lamp", stock=7)
    client, page = merged(5, 5, lamp)
    assert TOGETHER in page
    assert "Only 7 left" in page
    assert "Go to checkout" not in page
    assert "Take 7" in page
    assert put(client, lamp.pk, 7, "update") == 302
    page = client.get("/cart/").content.decode()
    assert "Go to checkout" in page
    assert "Take 7" not in page


def test_adding_as_many_as_allowed_says_so(client: Client, lamp: Product) -> None:
    put(client, lamp.pk, 9)
    assert "Lamp is in your cart (9)." in client.get("/cart/").content.decode()
    put(client, lamp.pk, 3)
    page = client.get("/cart/").content.decode()
    assert "Lamp is in your cart (10, the most you can order)." in page


def test_customers_do_not_see_each_others_carts(lamp: Product) -> None:
    clients = [Client(), Client()]
    for number, client in enumerate(clients):
        client.force_login(make_buyer(f"buyer{number}"))
        put(client, lamp.pk, number + 1)
    assert [shown(client) for client in clients] == [{"Lamp": 1}, {"Lamp": 2}]
    assert CartItem.objects.count() == 2


def test_a_product_taken_off_sale_stays_visible_and_blocks_checkout(
    client: Client, lamp: Product
) -> None:
    put(client, lamp.pk, 2)
    Product.objects.filter(pk=lamp.pk).update(is_active=False)
    response = client.get("/cart/")
    assert response.context["blocked"] is True
    assert "No longer on sale. Change or remove it." in response.content.decode()

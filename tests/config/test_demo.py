"""What only development and a demo may have, and the mark on every page of a demo."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory

from cart.models import CartItem
from cart.selectors import cart_lines, fingerprint
from drills import shoppers
from orders import refusals
from orders.forms import CheckoutForm
from orders.models import Sale
from orders.refusals import CheckoutRefusal, refusal_page
from orders.services import OrderProblemError, sale_checkout
from payments import gateway
from tests.fuzz.routes import routes
from tests.support import make_buyer, make_product, order_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client
    from pytest_django import Settings

    from tests.support import ScriptedGateway

pytestmark = pytest.mark.django_db

APP = Path(__file__).resolve().parents[2] / "app"
MARK = 'id="demo"'
# An own card, as a provider's page would have passed it on.
CARD = "card-5d41402abc4b2a76"


@pytest.fixture
def demo(settings: Settings) -> Iterator[None]:
    refusals._rendered.cache_clear()
    settings.DEMO = settings.STAND_INS = True
    yield
    refusals._rendered.cache_clear()


@pytest.fixture
def production(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEMO = settings.STAND_INS = False
    monkeypatch.setattr(gateway, "is_marked", lambda: False)


@pytest.fixture
def superuser(client: Client) -> Client:
    user = make_buyer("boss")
    User.objects.update(is_staff=True, is_superuser=True)
    order_for(user, make_product())
    client.force_login(user)
    return client


def pages(client: Client) -> dict[str, str]:
    """Return each HTML page without parameters, by its path."""
    found = {}
    for path in (route.path({}) for route in routes() if not route.parameters):
        if "logout" in path:
            continue
        answer = client.get(path)
        if answer.headers.get("Content-Type", "").startswith("text/html") and answer.content:
            found[path] = answer.content.decode()
    return found


def test_every_page_of_a_demo_says_so(superuser: Client, demo: None) -> None:
    found = {path: text for path, text in pages(superuser).items() if "<html" in text}
    assert {"/", "/checkout/", "/admin/", "/metrics/dashboard/", "/admin/auth/user/"} <= set(found)
    assert [path for path, text in found.items() if text.count(MARK) != 1] == []


def test_strangers_and_errors_see_it_as_well(client: Client, demo: None) -> None:
    for path in ("/", "/accounts/login/", "/admin/login/", "/no-such-page/"):
        assert MARK in client.get(path).content.decode(), path
    form = CheckoutForm({})
    form.cleaned_data = {}
    request = RequestFactory().post("/checkout/")
    page = refusal_page(request, form, CheckoutRefusal(409, "Sold out", "It is gone."))
    assert MARK in page.content.decode()


def test_every_whole_page_is_made_from_a_template_with_the_mark() -> None:
    whole = [
        path
        for path in APP.rglob("*.html")
        if "<html" in path.read_text("utf-8") and "gateway_simulator" not in path.parts
    ]
    assert {path.name for path in whole} == {"base.html", "problem_plain.html"}
    for path in (*whole, APP / "config/templates/admin/base_site.html"):
        assert "{% demo_mark %}" in path.read_text("utf-8"), path


def test_without_demo_no_page_has_the_mark(superuser: Client, production: None) -> None:
    found = pages(superuser)
    assert [path for path, text in found.items() if MARK in text] == []
    assert [path for path, text in found.items() if "test card" in text.lower()] == []


def data(**changes: str) -> dict[str, str]:
    return {
        "delivery_name": "Bea Buyer",
        "delivery_address": "1 Example Street",
        "idempotency_key": str(uuid.uuid4()),
        "lines_shown": fingerprint(cart_lines(CartItem.objects.all())),
        **changes,
    }


@pytest.mark.parametrize(
    "card", ["tok_good", "tok_declined", "TOK_good", "tok_anything", "", "x y"]
)
def test_production_sells_nothing_for_a_test_card(
    superuser: Client, production: None, scripted_gateway: ScriptedGateway, card: str
) -> None:
    page = superuser.post("/checkout/", data(payment_token=card))
    assert page.status_code == 400
    assert page.context["form"].errors.keys() == {"payment_token"}
    assert (Sale.objects.count(), scripted_gateway.charged) == (0, [])


def test_no_other_way_in_sells_for_a_test_card_either(
    production: None, scripted_gateway: ScriptedGateway
) -> None:
    order = order_for(make_buyer(), make_product(), token="tok_good")
    with pytest.raises(OrderProblemError, match=r"doesn't take test cards"):
        sale_checkout(order=order)
    assert (Sale.objects.count(), scripted_gateway.charged) == (0, [])


@pytest.mark.django_db(transaction=True)
def test_production_charges_a_providers_card(
    superuser: Client, production: None, scripted_gateway: ScriptedGateway
) -> None:
    shown = superuser.get("/checkout/").content.decode()
    assert re.search(r'<input type="text" name="payment_token"', shown)
    superuser.post("/checkout/", data(payment_token=CARD))
    assert [charge.token for charge in scripted_gateway.charged] == [CARD]


@pytest.mark.parametrize(
    ("debug", "demo", "refused"), [("False", "", True), ("False", "True", False)]
)
def test_shoppers_visit_no_shop_in_production(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    debug: str,
    demo: str,
    refused: bool,
) -> None:
    monkeypatch.setenv("DEBUG", debug)
    monkeypatch.setenv("DEMO", demo)
    monkeypatch.setattr(shoppers, "_wait_for", lambda _url: False)
    if not refused:
        assert shoppers.main([]) == 1  # no shop
        return
    with pytest.raises(SystemExit):
        shoppers.main([])
    assert "set DEBUG=True or DEMO=True" in capsys.readouterr().err

"""Customers' pages: return items, cancel an order, and what became of both."""

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from orders.models import Payment, Sale
from orders.services import sale_checkout
from payments.gateway import Answer
from returns.models import Refund, Return, ReturnItem
from returns.refunds import refund_adopt, refund_paid_otherwise, refund_retry
from returns.services import returns_expire
from tests.returns.people import (
    approved,
    bought,
    lost_at_gateway,
    owed,
    received,
    refunded,
    requested,
    state,
    text_of,
)
from tests.support import ScriptedGateway, make_buyer, make_product, order_for

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("scripted_gateway")]


@pytest.fixture
def shopper(buyer: User, client: Client) -> Client:
    client.force_login(buyer)
    return client


def path(sale: Sale, action: str = "") -> str:
    return f"/orders/{sale.reference}/{action}"


def form(sale: Sale, *units: object, **changes: str) -> dict[str, str]:
    """Return the filled form; `units` by line, the others empty."""
    lines = zip(sale.items.order_by("pk"), [*units, "", ""], strict=False)
    return {
        **{f"units_{line.pk}": str(count) for line, count in lines},
        "reason": "damaged",
        "note": "The shade is broken.",
        "form_key": str(uuid.uuid4()),
        **changes,
    }


def page_of(shopper: Client, address: str) -> str:
    answer = shopper.get(address)
    assert answer.status_code == 200
    return text_of(answer)


def main_of(shopper: Client, address: str) -> str:
    return page_of(shopper, address).partition("<main")[2]


def test_items_of_a_dispatched_order_are_returned(shopper: Client, buyer: User) -> None:
    lamp, vase = make_product(), make_product("Vase", "2.50")
    sale = bought(buyer, {lamp: 3, vase: 1})
    assert f'href="{path(sale, "return/")}"' in page_of(shopper, path(sale))
    assert "Cancel order" not in page_of(shopper, path(sale))
    page = page_of(shopper, path(sale, "return/"))
    assert "Lamp" in page
    assert "3 \N{MULTIPLICATION SIGN} €10.00" in page
    answer = shopper.post(path(sale, "return/"), form(sale, 2))
    assert (answer.status_code, answer.headers["Location"]) == (302, path(sale))
    of_return = Return.objects.get()
    assert (of_return.sale, of_return.status) == (sale, "requested")
    assert (of_return.reason, of_return.note) == ("damaged", "The shade is broken.")
    assert ReturnItem.objects.get().requested == 2
    page = page_of(shopper, path(sale))
    assert f"your return request {of_return.reference}" in page
    assert "Waiting for approval" in page
    assert "2 \N{MULTIPLICATION SIGN} Lamp" in page


def test_a_form_sent_twice_requests_one_return(shopper: Client, buyer: User) -> None:
    sale = bought(buyer)
    data = form(sale, 3)  # nothing is left for the second
    answers = [shopper.post(path(sale, "return/"), data) for _ in range(2)]
    assert {answer.headers.get("Location") for answer in answers} == {path(sale)}
    assert Return.objects.count() == 1


@pytest.mark.parametrize(
    ("units", "changes", "field", "text"),
    [
        (0, {}, "units", "Choose how many units to return."),
        ("", {}, "units", "Choose how many units to return."),
        (3, {}, "units", "Enter at most 2."),
        (-1, {}, "units", "Enter a number from 0."),
        ("1.5", {}, "units", "Enter a whole number."),
        ("9" * 50, {}, "units", "Enter at most 2."),
        (1, {"reason": ""}, "reason", "This field is required."),
        (1, {"reason": "bored"}, "reason", "Select a valid choice."),
        (1, {"note": "x" * 501}, "note", "at most 500 characters"),
        (1, {"note": "\0"}, "note", "Null characters are not allowed."),
        (1, {"form_key": ""}, "form_key", "Part of the form is missing."),
    ],
)
def test_an_invalid_form_is_400_keeps_what_was_typed_and_changes_nothing(
    shopper: Client, buyer: User, units: object, changes: dict[str, str], field: str, text: str
) -> None:
    sale = bought(buyer)
    requested(sale, 1)
    before = state()
    answer = shopper.post(path(sale, "return/"), form(sale, units, **changes))
    assert answer.status_code == 400
    (name,) = answer.context["form"].errors
    assert name.startswith(field)
    page = text_of(answer)
    assert text in page
    if field != "form_key":  # beside the field, which points to it
        assert f'id="id_{name}_error"' in page
        assert f'aria-describedby="id_{name}_error"' in page
    if units:
        assert f'value="{units}"' in page
    assert ("The shade is broken." in page) is (field != "note")
    assert state() == before


def test_units_in_another_return_meanwhile_are_409_and_change_nothing(
    shopper: Client, buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    sale = bought(buyer)

    def asked_meanwhile(*_: object) -> None:
        requested(sale, 2)

    monkeypatch.setattr("returns.pages.return_of_form", asked_meanwhile)
    answer = shopper.post(path(sale, "return/"), form(sale, 2))
    assert answer.status_code == 409
    page = text_of(answer)
    assert "Some of these units are in another return already" in page
    assert f'name="units_{sale.items.get().pk}" value="2"' in page
    assert Return.objects.count() == 1


def test_a_form_of_one_order_cannot_be_used_for_another(shopper: Client, buyer: User) -> None:
    first, second = bought(buyer), bought(buyer)
    data = form(first, 1)
    shopper.post(path(first, "return/"), data)
    again = form(second, 1, form_key=data["form_key"])
    answer = shopper.post(path(second, "return/"), again)
    assert answer.status_code == 409
    assert "Reload the page" in text_of(answer)
    assert Return.objects.get().sale == first


def test_items_cannot_be_returned_too_late(shopper: Client, buyer: User) -> None:
    sale = bought(buyer)
    Sale.objects.update(dispatched_at=timezone.now() - timedelta(days=30, minutes=-1))
    assert "Return items" in page_of(shopper, path(sale))
    Sale.objects.update(dispatched_at=timezone.now() - timedelta(days=30, minutes=1))
    page = page_of(shopper, path(sale))
    assert "Items could be returned until" in page
    assert "Return items" not in page
    assert "<form" not in main_of(shopper, path(sale, "return/"))
    answer = shopper.post(path(sale, "return/"), form(sale, 1))
    assert answer.status_code == 409
    assert "within 30 days of the dispatch" in text_of(answer)
    assert not Return.objects.exists()


def test_an_order_that_was_not_dispatched_cannot_be_returned(shopper: Client, buyer: User) -> None:
    sale = bought(buyer, dispatched=False)
    assert "has not been dispatched yet" in page_of(shopper, path(sale, "return/"))
    answer = shopper.post(path(sale, "return/"), form(sale, 1))
    assert answer.status_code == 409
    assert not Return.objects.exists()


def test_an_order_with_nothing_left_to_return_says_so(shopper: Client, buyer: User) -> None:
    sale = bought(buyer)
    requested(sale, 3)
    assert "Return items" not in page_of(shopper, path(sale))
    assert "in a return already" in page_of(shopper, path(sale, "return/"))


@pytest.mark.parametrize("action", ["return/", "cancel/"])
def test_who_may_open_these_pages(client: Client, buyer: User, action: str) -> None:
    sale = bought(buyer, dispatched=action == "return/")
    before = state()
    address = path(sale, action)
    for answer in (client.get(address), client.post(address, form(sale, 1))):
        assert answer.status_code == 302
        assert answer.headers["Location"] == f"/accounts/login/?next={address}"
    client.force_login(make_buyer("stranger"))
    for answer in (client.get(address), client.post(address, form(sale, 1))):
        assert answer.status_code == 404
    client.force_login(buyer)
    assert client.put(address).status_code == 405
    assert client.get(f"/orders/VT-NONE/{action}").status_code == 404
    assert state() == before


@pytest.mark.parametrize("action", ["", "return/", "cancel/"])
def test_an_order_that_was_not_paid_offers_nothing(
    shopper: Client, buyer: User, scripted_gateway: ScriptedGateway, action: str
) -> None:
    scripted_gateway.answers = [Answer.DECLINED]
    sale = sale_checkout(order=order_for(buyer, make_product()))
    answer = shopper.get(path(sale, action))
    assert answer.status_code == (404 if action else 200)
    assert "Returns and refunds" not in text_of(answer)


def test_what_was_typed_is_kept_while_the_customer_logs_in_again(
    shopper: Client, buyer: User
) -> None:
    sale = bought(buyer)
    shopper.logout()
    more = {f"units_{'9' * 50}": "1", **{f"units_x{number}": "1" for number in range(60)}}
    answer = shopper.post(path(sale, "return/"), {**form(sale, 2), **more})
    assert answer.headers["Location"] == f"/accounts/login/?next={path(sale, 'return/')}"
    assert len(shopper.session["kept_form"]["fields"]) == 52
    credentials = {"username": buyer.username, "password": "correct-horse-battery"}
    shopper.post(answer.headers["Location"], credentials)
    page = page_of(shopper, path(sale, "return/"))
    assert f'name="units_{sale.items.get().pk}" value="2"' in page
    assert '<option value="damaged" selected>' in page
    assert "The shade is broken." in page
    assert not Return.objects.exists()


def test_an_order_is_cancelled_before_its_dispatch(shopper: Client, buyer: User) -> None:
    lamp = make_product(stock=5)
    sale = bought(buyer, {lamp: 3}, dispatched=False)
    assert f'href="{path(sale, "cancel/")}"' in page_of(shopper, path(sale))
    assert "refund €30.00 to the card you paid with" in page_of(shopper, path(sale, "cancel/"))
    assert not Refund.objects.exists()  # asking changes nothing
    for _ in range(2):  # a double click
        answer = shopper.post(path(sale, "cancel/"))
        assert (answer.status_code, answer.headers["Location"]) == (302, path(sale))
    sale.refresh_from_db()
    lamp.refresh_from_db()
    assert sale.cancelled_at is not None
    assert lamp.stock == 5
    refund = Refund.objects.get()
    assert (refund.amount, refund.reason, refund.requested_by) == (
        Decimal(30),
        "cancellation",
        buyer,
    )
    page = page_of(shopper, path(sale))
    assert "Refund of €30.00" in page
    assert "For your cancelled order." in page
    assert path(sale, "cancel/") not in page
    assert "This order is cancelled." in page_of(shopper, path(sale, "cancel/"))


def test_a_dispatched_order_is_not_cancelled(shopper: Client, buyer: User) -> None:
    sale = bought(buyer)
    before = state()
    assert "<button" not in main_of(shopper, path(sale, "cancel/"))
    answer = shopper.post(path(sale, "cancel/"))
    assert answer.status_code == 409
    assert "This order has been dispatched." in text_of(answer)
    assert state() == before


def test_a_disputed_order_is_not_cancelled(shopper: Client, buyer: User) -> None:
    sale = bought(buyer, dispatched=False)
    Payment.objects.update(disputed_at=timezone.now())
    before = state()
    answer = shopper.post(path(sale, "cancel/"))
    assert answer.status_code == 409
    assert "Your bank is examining the payment" in text_of(answer)
    assert state() == before


def test_each_state_of_a_return_is_shown(shopper: Client, buyer: User) -> None:
    sale = bought(buyer, {make_product(stock=20): 10})
    approved(sale, 1)
    by = f"{timezone.now() + timedelta(days=30):%-d %b %Y}"
    assert f"Send the items back by {by}" in page_of(shopper, path(sale))
    Return.objects.update(decided_at=timezone.now() - timedelta(days=31))
    returns_expire()
    assert "Not sent back" in page_of(shopper, path(sale))
    approved(sale, 1, "lost_parcel")
    assert "You don't need to send anything back." in page_of(shopper, path(sale))
    received(sale)
    assert "We've checked the items." in page_of(shopper, path(sale))


def test_each_state_of_a_refund_is_shown(shopper: Client, buyer: User) -> None:
    sale = bought(buyer)
    refund = refunded(sale, "15.00")
    page = page_of(shopper, path(sale))
    assert "Refund of €15.00" in page
    assert "On its way" in page
    assert "One was damaged." in page
    assert "€15.00 of €30.00 is refunded, or on its way back to you." in page
    assert "€15.00 refunded" in page_of(shopper, "/orders/")
    refund_adopt(refund=lost_at_gateway(refund), status=Refund.Status.SUCCEEDED)
    page = page_of(shopper, path(sale))
    assert "We paid it to the card you paid with" in page
    assert "It can take your bank some days to show it." in page
    owed(refund)
    page = page_of(shopper, path(sale))
    assert "Delayed" in page
    assert "is refunded, or on its way" not in page
    again = owed(refund_retry(refund=refund, user_id=None))
    refund_paid_otherwise(refund=again, user_id=None, message="By bank transfer.")
    page = page_of(shopper, path(sale))
    assert "We paid it back on" in page
    assert "By bank transfer." in page
    assert page.count("Refund of €15.00") == 1  # those it replaced are not the customer's concern


def test_the_order_page_makes_a_fixed_number_of_queries(
    shopper: Client, buyer: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    sale = bought(buyer, {make_product(f"P{number}", stock=20): 9 for number in range(3)})
    refunded(sale)
    for _ in range(3):
        requested(sale, 1)
    # Session, user, sale, items, products, categories, payments, notice; refunds, units in
    # returns, returns, their items and lines.
    with django_assert_max_num_queries(13):
        shopper.get(path(sale))

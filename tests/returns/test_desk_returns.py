"""Staff's queue and their page of a return: who may, what changes, and what is refused."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from orders.models import Payment, Sale
from returns.models import Refund, Return, ReturnItem
from returns.services import return_reject
from tests.returns.people import (
    approved,
    bought,
    helper,
    looker,
    lost_at_gateway,
    owed,
    received,
    refunded,
    requested,
    staff_client,
    state,
    text_of,
)
from tests.support import make_product

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("scripted_gateway")]
QUEUE = "/desk/returns/"


@pytest.fixture
def sale(buyer: User) -> Sale:
    return bought(buyer)


def path(of_return: Return) -> str:
    return f"/desk/returns/{of_return.reference}/"


def send(client: Client, of_return: Return, action: str, **data: object) -> Any:
    """Send the form of a return that has one item."""
    item = of_return.items.get().pk
    words = {"answer", "message", "amount"}
    named = {name if name in words else f"{name}_{item}": value for name, value in data.items()}
    return client.post(path(of_return), {"action": action, **named})


def addresses(sale: Sale) -> dict[str, str]:
    """Return the desk's pages by the permission to look at them, and what is sent there."""
    refund = refunded(sale)
    of_return = requested(sale, 1)
    return {
        QUEUE: "",
        f"{QUEUE}{of_return.reference}/": "reject",
        f"{QUEUE}orders/{sale.reference}/": "cancel",
        f"{QUEUE}refunds/{owed(refund).reference}/": "retry",
    }


def test_who_may_open_the_desk(sale: Sale, client: Client, buyer: User) -> None:
    pages = addresses(sale)
    before = state()
    customer = Client()
    customer.force_login(buyer)
    others = (customer, staff_client("nobody"), staff_client("other", "view_returnitem"))
    for address, action in pages.items():
        for anonymous in (client.get(address), client.post(address, {"action": action})):
            assert anonymous.headers["Location"] == f"/accounts/login/?next={address}"
        for other in others:
            assert other.get(address).status_code == 403
            assert other.post(address, {"action": action}).status_code == 403
    assert state() == before


def test_who_may_only_look_sees_no_buttons(sale: Sale) -> None:
    pages = addresses(sale)
    before = state()
    client = looker()
    for address, action in pages.items():
        page = text_of(client.get(address))
        assert 'method="post"' not in page.partition("<main")[2]
        status = 403 if action else 405
        assert client.post(address, {"action": action, "answer": "No"}).status_code == status
    assert state() == before
    client = helper()
    for address, action in list(pages.items())[1:]:
        assert 'method="post"' in text_of(client.get(address)).partition("<main")[2]
        answer = client.post(address, {"action": action, "answer": "No"})
        assert answer.status_code == (409 if action == "cancel" else 302)  # it is dispatched


def test_goods_and_money_have_permissions_of_their_own(sale: Sale) -> None:
    of_return = received(sale)
    goods = staff_client("goods", "view_return", "change_return")
    assert 'method="post"' not in text_of(goods.get(path(of_return))).partition("<main")[2]
    assert send(goods, of_return, "refund", amount="20").status_code == 403
    order = f"/desk/returns/orders/{sale.reference}/"
    for action in ("refund", "cancel"):
        assert goods.post(order, {"action": action}).status_code == 403
    money = staff_client("money", "view_return", "change_refund")
    assert money.post(order, {"action": "return"}).status_code == 403
    assert send(money, of_return, "refund", amount="20").status_code == 302


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(sale: Sale, method: str) -> None:
    client = helper()
    for address in addresses(sale):
        assert getattr(client, method)(address).status_code == 405


def test_the_queue_shows_money_first_and_returns_by_age(sale: Sale, buyer: User) -> None:
    broken, lost, fine = (refunded(bought(buyer)) for _ in range(3))
    owed(broken)
    lost_at_gateway(lost)
    Refund.objects.filter(pk=lost.pk).update(created_at=timezone.now() - timedelta(hours=3))
    newer, older = requested(sale, 1), approved(sale, 1)
    Return.objects.filter(pk=older.pk).update(requested_at=timezone.now() - timedelta(days=2))
    page = text_of(helper().get(QUEUE))
    shown = [page.index(row.reference) for row in (lost, broken, older, newer, fine)]
    assert shown == sorted(shown)
    assert "€40.00 in 2 refunds" in page
    assert "€20.00 in 1 refund." in page
    assert "Failed: owed" in page
    assert "the charge is disputed" in page
    assert "Needs a person" in page
    assert "1 to approve, 1 on the way to us, 0 to refund" in page
    assert "3 h ago" in page
    assert "2 d ago" in page
    assert Return.objects.filter(status="closed").count() == 3
    for closed in Return.objects.filter(status="closed"):
        assert closed.reference not in page


def test_an_empty_queue_says_so() -> None:
    page = text_of(helper().get(QUEUE))
    assert "No customer waits for money" in page
    assert "No returns are open." in page


def test_the_queue_finds_by_reference(sale: Sale) -> None:
    refund = refunded(sale)
    of_return = requested(sale, 1)
    client = helper()
    for term, address in (
        (of_return.reference, path(of_return)),
        (f" {of_return.reference.lower()} ", path(of_return)),
        (refund.reference, f"/desk/returns/refunds/{refund.reference}/"),
        (refund.key, f"/desk/returns/refunds/{refund.reference}/"),
        (sale.reference, f"/desk/returns/orders/{sale.reference}/"),
    ):
        answer = client.get(QUEUE, {"q": term})
        assert (answer.status_code, answer.headers["Location"]) == (302, address)
    for term in ("RT-NONE", "\0", "x" * 5000):
        assert "has this reference" in text_of(client.get(QUEUE, {"q": term}))


def test_the_queue_makes_a_fixed_number_of_queries(
    buyer: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(3):
        owed(refunded(bought(buyer)))
        refunded(bought(buyer))
        requested(bought(buyer))
    client = helper()
    # Session, user, 2 for permissions, 2 sums, 2 lists of refunds, waiting, count, returns, items,
    # lines, cart.
    with django_assert_max_num_queries(14):
        client.get(QUEUE)


def test_units_are_approved_in_part_with_words(sale: Sale) -> None:
    of_return = requested(sale, 3)
    client = helper()
    assert 'value="3"' in text_of(client.get(path(of_return)))
    answer = send(client, of_return, "approve", approved=2, answer="One was opened.")
    assert (answer.status_code, answer.headers["Location"]) == (302, path(of_return))
    of_return.refresh_from_db()
    assert (of_return.status, of_return.answer) == ("approved", "One was opened.")
    assert of_return.items.get().approved == 2
    assert "Approved 2 units." in text_of(client.get(path(of_return)))
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("helper", str(of_return.pk))


def test_a_return_is_rejected_with_words(sale: Sale) -> None:
    of_return = requested(sale)
    client = helper()
    assert send(client, of_return, "reject", answer="Worn.").status_code == 302
    of_return.refresh_from_db()
    assert (of_return.status, of_return.answer) == ("rejected", "Worn.")
    page = text_of(client.get(path(of_return)))
    assert "Worn." in page
    assert 'name="action"' not in page


def test_units_are_inspected_one_by_one(sale: Sale) -> None:
    of_return = approved(sale, 3)
    client = helper()
    assert send(client, of_return, "receive", sellable=1, damaged=1, lost="").status_code == 302
    item = ReturnItem.objects.get()
    assert (item.sellable, item.damaged, item.lost, item.value) == (1, 1, 0, Decimal(20))
    page = text_of(client.get(path(of_return)))
    assert "Inspected: 1 sellable, 1 damaged, 0 lost." in page
    assert 'value="20.00"' in page  # the amount to refund


def test_a_received_return_is_refunded(sale: Sale) -> None:
    of_return = received(sale)
    client = helper()
    assert send(client, of_return, "refund", amount="20.00").status_code == 302
    refund = Refund.objects.get()
    assert (refund.amount, refund.of_return, refund.message) == (Decimal(20), of_return, "")
    assert refund.requested_by == User.objects.get(username="helper")
    assert refund.reference in text_of(client.get(path(of_return)))
    assert send(client, of_return, "refund", amount="20.00").status_code == 409
    assert Refund.objects.count() == 1


def test_less_is_refunded_only_with_words(sale: Sale) -> None:
    of_return = received(sale)
    client = helper()
    before = state()
    answer = send(client, of_return, "refund", amount="12.34", message=" ")
    assert answer.status_code == 409
    assert "Say why less is refunded" in text_of(answer)
    assert 'value="12.34"' in text_of(answer)
    assert state() == before
    send(client, of_return, "refund", amount="12.34", message="Scratched.")
    assert Refund.objects.get().amount == Decimal("12.34")


def test_a_return_is_closed_without_a_refund(sale: Sale) -> None:
    of_return = received(sale)
    assert send(helper(), of_return, "refund", amount="0", message="Not ours.").status_code == 302
    of_return.refresh_from_db()
    assert (of_return.status, of_return.answer) == ("closed", "Not ours.")
    assert not Refund.objects.exists()


@pytest.mark.parametrize(
    ("prepare", "action", "data", "status", "text"),
    [
        (requested, "approve", {"approved": 3}, 400, "Enter at most 2."),
        (requested, "approve", {"approved": -1}, 400, "Enter a number from 0."),
        (requested, "approve", {"approved": 0, "answer": "No"}, 409, "or reject the return"),
        (requested, "approve", {"approved": 1}, 409, "Say why not all units are approved"),
        (requested, "approve", {"approved": 2, "answer": "x" * 501}, 400, "at most 500"),
        (requested, "reject", {"approved": 2, "answer": " "}, 409, "Say why the return is"),
        (requested, "receive", {"sellable": 2}, 409, "since you opened the page"),
        (requested, "refund", {"amount": "20"}, 409, "since you opened the page"),
        (approved, "approve", {"approved": 2}, 409, "since you opened the page"),
        (approved, "receive", {}, 409, "Enter what arrived or was lost."),
        (approved, "receive", {"sellable": 2, "lost": 1}, 409, "at most as many units as were"),
        (approved, "receive", {"sellable": 3}, 400, "Enter at most 2."),
        (approved, "receive", {"damaged": "two"}, 400, "Enter a whole number."),
        (received, "refund", {"amount": "20.01"}, 409, "Refund at most 20.00 EUR"),
        (received, "refund", {"amount": "-1"}, 400, "greater than or equal to 0"),
        (received, "refund", {"amount": "1.005"}, 400, "no more than 2 decimal places"),
        (received, "refund", {"amount": "NaN"}, 400, "Enter an amount, such as 12.50."),
        (received, "refund", {}, 400, "This field is required."),
        (received, "", {}, 400, ""),
        (received, "close", {}, 400, ""),
    ],
)
def test_what_is_refused_changes_nothing(
    sale: Sale, prepare: Any, action: str, data: dict[str, object], status: int, text: str
) -> None:
    of_return = prepare(sale)
    before = state(), list(ReturnItem.objects.values()), LogEntry.objects.count()
    answer = send(helper(), of_return, action, **data)
    assert answer.status_code == status
    assert text in text_of(answer)
    after = state(), list(ReturnItem.objects.values()), LogEntry.objects.count()
    assert after == before
    for typed in data.values():
        if text and "since you opened" not in text and str(typed).strip():
            assert str(typed) in text_of(answer)


def test_two_who_decide_at_once_learn_of_each_other(
    sale: Sale, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_return = requested(sale)
    monkeypatch.setattr(  # the first to decide, after the second's page was checked
        "returns.forms.DecideForm.units",
        lambda form: return_reject(of_return=of_return, answer="Worn.") or {form.items[0].pk: 2},
    )
    answer = send(helper(), of_return, "approve", approved=2)
    assert answer.status_code == 409
    page = text_of(answer)
    assert "has been changed since you opened the page" in page
    assert "Worn." in page
    assert ReturnItem.objects.get().approved == 0


def test_a_disputed_charge_is_not_refunded(sale: Sale) -> None:
    of_return = received(sale)
    Payment.objects.update(disputed_at=timezone.now())
    before = state()
    answer = send(helper(), of_return, "refund", amount="20")
    assert answer.status_code == 409
    assert "The customer's bank disputes this charge." in text_of(answer)
    assert state() == before


def test_texts_are_escaped(buyer: User) -> None:
    nasty = make_product("<b>Lamp</b>")
    of_return = requested(bought(buyer, {nasty: 3}))
    Return.objects.update(note="<script>alert(1)</script>", answer="<i>x</i>")
    client = looker()
    for address in (QUEUE, path(of_return)):
        page = text_of(client.get(address))
        assert "<script>alert" not in page
        assert "<b>Lamp" not in page

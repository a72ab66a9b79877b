"""Staff's pages of a refund and of an order."""

import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from orders.models import Payment, Sale
from orders.services import sale_checkout
from payments.gateway import Answer
from products.models import Product
from retail.models import Email
from returns.models import Refund, Return
from returns.refunds import refund_adopt, refund_request, refund_retry
from tests.returns.people import (
    bought,
    helper,
    lost_at_gateway,
    owed,
    received,
    refunded,
    requested,
    state,
    text_of,
)
from tests.support import ScriptedGateway, make_product, order_for

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("scripted_gateway")]


@pytest.fixture
def sale(buyer: User) -> Sale:
    return bought(buyer)


@pytest.fixture
def desk() -> Client:
    return helper()


def path(row: Refund | Sale) -> str:
    return f"/desk/returns/{'orders' if isinstance(row, Sale) else 'refunds'}/{row.reference}/"


def send(client: Client, row: Refund | Sale, action: str, **data: object) -> Any:
    return client.post(path(row), {"action": action, **data})


def goodwill(**changes: object) -> dict[str, Any]:
    values = {
        "reason": "goodwill",
        "amount": "5.00",
        "message": "Sorry for the wait.",
        "form_key": uuid.uuid4(),
        "seen": "0",
        **changes,
    }
    return {f"refund-{name}": value for name, value in values.items()}


def everything() -> tuple[object, ...]:
    """Return all that these pages may change."""
    return (
        state(),
        list(Payment.objects.values()),
        LogEntry.objects.count(),
        Email.objects.count(),
    )


def test_a_failed_refund_is_tried_again(sale: Sale, desk: Client) -> None:
    failed = owed(refunded(sale))
    page = text_of(desk.get(path(failed)))
    assert "The customer is owed €20.00" in page
    assert "The refund failed: the charge is disputed." in page
    answer = send(desk, failed, "retry")
    again = Refund.objects.get(replaces=failed)
    assert (answer.status_code, answer.headers["Location"]) == (302, path(again))
    assert (again.amount, again.status) == (Decimal(20), "REQUESTED")
    assert again.requested_by == User.objects.get(username="helper")
    page = text_of(desk.get(path(again)))
    assert "Attempts to pay this amount" in page
    assert failed.reference in page
    assert "Failed, replaced" in page
    assert "Requested again." in text_of(desk.get(path(failed)))
    before = everything()
    answer = send(desk, failed, "retry")  # a double click
    assert answer.status_code == 409
    assert "has been dealt with" in text_of(answer)
    assert everything() == before


def test_a_failed_refund_is_paid_another_way(sale: Sale, desk: Client) -> None:
    failed = owed(refunded(sale))
    for message, status in (("", 400), (" ", 400), ("x" * 501, 400)):
        before = everything()
        assert send(desk, failed, "otherwise", message=message).status_code == status
        assert everything() == before
    answer = send(desk, failed, "otherwise", message="By bank transfer.")
    new = Refund.objects.get(replaces=failed)
    assert answer.headers["Location"] == path(new)
    assert (new.method, new.status, new.message) == ("manual", "SUCCEEDED", "By bank transfer.")
    page = text_of(desk.get(path(new)))
    assert "was paid back another way" in page
    assert "By bank transfer." in page


@pytest.mark.parametrize(
    ("action", "status", "shown"),
    [("paid", "SUCCEEDED", "went to the card"), ("unpaid", "FAILED", "The customer is owed")],
)
def test_what_was_found_at_the_gateway_is_recorded(
    sale: Sale, desk: Client, action: str, status: str, shown: str
) -> None:
    refund = lost_at_gateway(refunded(sale))
    page = text_of(desk.get(path(refund)))
    assert "Was it paid out?" in page
    assert refund.key in page
    assert refund.payment.key in page
    assert send(desk, refund, action).status_code == 302
    refund.refresh_from_db()
    assert refund.status == status
    assert shown in text_of(desk.get(path(refund)))
    before = everything()
    assert send(desk, refund, action).status_code == 409
    assert everything() == before


@pytest.mark.parametrize("action", ["retry", "otherwise", "paid", "unpaid"])
@pytest.mark.parametrize("status", ["REQUESTED", "UNKNOWN", "PENDING", "SUCCEEDED"])
def test_a_refund_that_needs_nobody_is_left_alone(
    sale: Sale, desk: Client, action: str, status: str
) -> None:
    refund = refunded(sale)
    settled = timezone.now() if status == "SUCCEEDED" else None
    Refund.objects.update(status=status, settled_at=settled)
    page = text_of(desk.get(path(refund)))
    assert 'name="action"' not in page
    before = everything()
    assert send(desk, refund, action, message="By bank transfer.").status_code == 409
    assert everything() == before


def test_an_unknown_action_is_400(sale: Sale, desk: Client) -> None:
    refund = owed(refunded(sale))
    before = everything()
    for row in (refund, sale):
        for action in ("", "delete"):
            assert send(desk, row, action).status_code == 400
    assert everything() == before


def test_a_cancelled_refund_says_so(sale: Sale, desk: Client) -> None:
    refund = refunded(sale)
    refund_adopt(refund=refund, status=Refund.Status.CANCELLED)
    page = text_of(desk.get(path(refund)))
    assert "The refund was cancelled at the gateway." in page
    refund_retry(refund=refund, user_id=None)
    assert "A later refund took its place." in text_of(desk.get(path(refund)))


def test_a_disputed_refund_is_not_tried_again(sale: Sale, desk: Client) -> None:
    refund = owed(refunded(sale))
    Payment.objects.update(disputed_at=timezone.now())
    assert "The customer's bank disputes the charge" in text_of(desk.get(path(refund)))
    before = everything()
    answer = send(desk, refund, "retry")
    assert answer.status_code == 409
    assert "The customer's bank disputes this charge." in text_of(answer)
    assert everything() == before


def test_an_amount_is_refunded_with_words(sale: Sale, desk: Client) -> None:
    page = text_of(desk.get(path(sale)))
    assert "At most €30.00." in page
    data = goodwill()
    answers = [send(desk, sale, "refund", **data) for _ in range(2)]  # a double click
    refund = Refund.objects.get()
    assert {answer.headers["Location"] for answer in answers} == {path(refund)}
    assert (refund.amount, refund.reason, refund.message) == (
        Decimal(5),
        "goodwill",
        "Sorry for the wait.",
    )
    assert refund.requested_by == User.objects.get(username="helper")
    assert LogEntry.objects.count() == 1
    page = text_of(desk.get(path(sale)))
    assert "At most €25.00." in page
    assert "Refund of 5.00 EUR requested." in page
    assert refund.reference in page


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"amount": "30.01"}, 409, "Only 30.00 of 30.00 EUR can still be refunded"),
        ({"amount": "0"}, 409, "Enter an amount above 0."),
        ({"amount": "-5"}, 400, "greater than or equal to 0"),
        ({"amount": "five"}, 400, "Enter an amount, such as 12.50."),
        ({"amount": "1e3"}, 409, "can still be refunded, not 1"),
        ({"amount": ""}, 400, "This field is required."),
        ({"message": " "}, 400, "This field is required."),
        ({"reason": "return"}, 400, "Select a valid choice."),
        ({"form_key": ""}, 400, "Part of the form is missing."),
        ({"seen": ""}, 400, "Part of the form is missing."),
        ({"seen": "5.00"}, 409, "Something was refunded since you opened this page"),
    ],
)
def test_an_amount_that_is_refused_changes_nothing(
    sale: Sale, desk: Client, changes: dict[str, str], status: int, text: str
) -> None:
    before = everything()
    answer = send(desk, sale, "refund", **goodwill(**changes))
    assert answer.status_code == status
    page = text_of(answer)
    assert text in page
    assert "<details" in page
    assert '<details class="desk-do" open> <summary>Refund an amount' in page
    if changes.get("message", "x").strip():
        assert "Sorry for the wait." in page
    assert everything() == before


def test_two_who_refund_at_once_refund_once(sale: Sale, desk: Client) -> None:
    refund_request(payment=Payment.objects.get(), amount=Decimal(5), reason="goodwill")
    answer = send(desk, sale, "refund", **goodwill())
    assert answer.status_code == 409
    assert "now 5.00 of 30.00 EUR" in text_of(answer)
    assert Refund.objects.count() == 1


def test_an_order_is_cancelled_for_the_customer(buyer: User, desk: Client) -> None:
    sale = bought(buyer, dispatched=False)
    assert "Cancel the order" in text_of(desk.get(path(sale)))
    assert send(desk, sale, "cancel").headers["Location"] == path(sale)
    sale.refresh_from_db()
    assert sale.cancelled_at is not None
    assert Product.objects.get().stock == 10
    refund = Refund.objects.get()
    assert (refund.amount, refund.reason) == (Decimal(30), "cancellation")
    assert refund.requested_by == User.objects.get(username="helper")
    page = text_of(desk.get(path(sale)))
    assert "Cancel the order" not in page
    assert "Order cancelled." in page


def test_a_dispatched_order_is_not_cancelled(sale: Sale, desk: Client) -> None:
    assert "Cancel the order" not in text_of(desk.get(path(sale)))
    before = everything()
    answer = send(desk, sale, "cancel")
    assert answer.status_code == 409
    assert "This order has been dispatched." in text_of(answer)
    assert everything() == before


def test_a_return_is_requested_for_the_customer(sale: Sale, desk: Client) -> None:
    line = sale.items.get()
    data = {
        f"return-units_{line.pk}": 3,
        "return-reason": "lost_parcel",
        "return-note": "By phone.",
        "return-form_key": uuid.uuid4(),
    }
    answers = [send(desk, sale, "return", **data) for _ in range(2)]  # a double click
    of_return = Return.objects.get()
    address = f"/desk/returns/{of_return.reference}/"
    assert {answer.headers["Location"] for answer in answers} == {address}
    assert (of_return.reason, of_return.note) == ("lost_parcel", "By phone.")
    assert of_return.items.get().requested == 3
    page = text_of(desk.get(path(sale)))
    assert of_return.reference in page
    assert "Request a return for the customer" not in page  # nothing is left


@pytest.mark.parametrize(
    ("units", "status", "text"),
    [(0, 400, "Choose how many"), (3, 400, "Enter at most 2."), ("", 400, "Choose how many")],
)
def test_an_invalid_return_changes_nothing(
    sale: Sale, desk: Client, units: object, status: int, text: str
) -> None:
    requested(sale, 1)
    before = everything()
    data = {
        f"return-units_{sale.items.get().pk}": units,
        "return-reason": "other",
        "return-form_key": uuid.uuid4(),
    }
    answer = send(desk, sale, "return", **data)
    assert answer.status_code == status
    assert text in text_of(answer)
    assert everything() == before


def test_an_order_that_was_not_paid_has_no_page(
    buyer: User, desk: Client, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [Answer.DECLINED]
    sale = sale_checkout(order=order_for(buyer, make_product()))
    assert desk.get(path(sale)).status_code == 404
    assert send(desk, sale, "cancel").status_code == 404
    unknown = {"orders/VT-NONE/": "cancel", "refunds/RF-NONE/": "retry", "RT-NONE/": "reject"}
    for address, action in unknown.items():
        assert desk.get(f"/desk/returns/{address}").status_code == 404
        assert desk.post(f"/desk/returns/{address}", {"action": action}).status_code == 404


def test_the_order_page_shows_money_and_goods(sale: Sale, desk: Client) -> None:
    refunded(sale, "12.00")
    of_return = requested(sale, 1)
    Payment.objects.update(disputed_at=timezone.now())
    page = text_of(desk.get(path(sale)))
    for text in ("€30.00", "€12.00", "€18.00", of_return.reference, "has disputed this charge"):
        assert text in page


def test_the_admin_and_the_navigation_lead_to_the_desk(sale: Sale, client: Client) -> None:
    User.objects.create_superuser("admin", "", "correct-horse-battery")
    client.force_login(User.objects.get(username="admin"))
    admin = text_of(client.get(f"/admin/orders/sale/{sale.pk}/change/"))
    assert f'href="{path(sale)}"' in admin
    assert 'href="/desk/returns/"' in text_of(client.get("/"))
    client.force_login(sale.user)
    assert 'href="/desk/returns/"' not in text_of(client.get("/"))


def test_a_long_chain_is_shown_once_each(sale: Sale, desk: Client) -> None:
    refund = first = owed(refunded(sale))
    for _ in range(3):
        refund = owed(refund_retry(refund=refund, user_id=None))
    middle = Refund.objects.get(replaces=first)
    for row in (first, middle, refund):
        page = text_of(desk.get(path(row)))
        assert page.count("the charge is disputed</td>") == 4


def test_a_received_return_can_be_refunded_only_from_its_own_page(sale: Sale, desk: Client) -> None:
    received(sale)
    assert "To refund" in text_of(desk.get(path(sale)))

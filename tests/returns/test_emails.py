"""E-mails about returns and refunds, as their readers see them."""

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone
from pytest_django import Settings

from orders.models import Payment, Sale
from returns import services
from returns.models import Refund, Return
from returns.refunds import refund_adopt, refund_paid_otherwise, refund_request
from tests.returns.people import approved, bought, lost_at_gateway, received, refunded, requested
from tests.support import ScriptedGateway, make_product, send_emails

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _gateway(scripted_gateway: ScriptedGateway, settings: Settings) -> None:
    settings.SHOP_URL = "https://shop.example"


@pytest.fixture
def sale(buyer: User) -> Sale:
    """Return a dispatched order, whose own e-mails are sent."""
    sale = bought(buyer)
    last_email()
    return sale


def last_email() -> tuple[str, str]:
    """Send what is due; return subject and text of the last e-mail."""
    send_emails()
    email = mail.outbox[-1]
    assert email.to == ["buyer@example.com"]
    text = str(email.body).rstrip("\n") + "\n"
    assert text.startswith("Hello Bea Buyer,\n\n")
    assert text.endswith("\n\nVitrine\n")
    assert "\n\n\n" not in text
    assert "{" not in text
    return str(email.subject), text


def paid(refund: Refund) -> None:
    refund_adopt(refund=refund, status=Refund.Status.SUCCEEDED)


def test_a_request_is_acknowledged(sale: Sale) -> None:
    line = sale.items.get()
    of_return = services.return_request(
        sale=sale,
        units={line.pk: 2},
        reason="damaged",
        note='The <shade> & "foot" are broken.',
        form_key=uuid.uuid4(),
    )
    subject, text = last_email()
    assert subject == f"We received your return request for order {sale.reference}"
    assert (
        text
        == f"""Hello Bea Buyer,

We received your request to return these items from order {sale.reference}:

2 x Lamp

Reason: It arrived damaged
You wrote: The <shade> & "foot" are broken.

We'll look at it and e-mail you what to do next. Please don't send anything back yet.

Return reference: {of_return.reference}
Your order: https://shop.example/orders/{sale.reference}/

Vitrine
"""
    )


def test_an_approval_says_what_to_send_until_when(sale: Sale) -> None:
    of_return = approved(sale)
    subject, text = last_email()
    until = timezone.now() + timedelta(days=30)
    assert subject == f"Your return for order {sale.reference} is approved"
    assert (
        text
        == f"""Hello Bea Buyer,

We approved your return {of_return.reference} for order {sale.reference}:

2 x Lamp

Send the items back by {until:%-d %b %Y}, to the sender's address on the parcel they \
came in. Put a note with {of_return.reference} into the parcel, so that we know whose it is.

When we've received and checked the items, we'll refund you.

Your order: https://shop.example/orders/{sale.reference}/

Vitrine
"""
    )


def test_an_approval_in_part_has_staffs_words(buyer: User) -> None:
    sale = bought(buyer, {make_product(): 3, make_product("Vase"): 1})
    lines = list(sale.items.order_by("pk"))
    of_return = services.return_request(
        sale=sale,
        units={lines[0].pk: 3, lines[1].pk: 1},
        reason="other",
        form_key=uuid.uuid4(),
    )
    first, _ = of_return.items.order_by("pk")
    services.return_approve(of_return=of_return, units={first.pk: 1}, answer="Two are worn.")
    _, text = last_email()
    assert "\n1 of 3 x Lamp\n0 of 1 x Vase\n\nTwo are worn.\n\nSend the items back by" in text


def test_a_lost_parcel_is_not_sent_back(sale: Sale) -> None:
    requested(sale, 1, "lost_parcel")
    assert "send anything back" not in last_email()[1]
    of_return = approved(sale, 1, "lost_parcel")
    subject, text = last_email()
    assert subject == f"Your return for order {sale.reference} is approved"
    assert "You don't need to send anything back." in text
    assert "Send the items" not in text
    found = {of_return.items.get().pk: services.Inspected(lost=1)}
    services.return_receive(of_return=of_return, inspected=found)
    subject, text = last_email()
    assert subject == f"We checked your return for order {sale.reference}"
    assert "We've closed the case about the lost items from order" in text
    assert "1 x Lamp, lost on the way\n\nYou paid €10.00 for them." in text


def test_a_rejection_has_staffs_words(sale: Sale) -> None:
    of_return = requested(sale)
    services.return_reject(of_return=of_return, answer="The lamps were used.")
    subject, text = last_email()
    assert subject == f"About your return request for order {sale.reference}"
    assert "2 x Lamp\n\nThe lamps were used.\n\nPlease don't send these items back.\n" in text


def test_a_receipt_says_what_arrived(sale: Sale) -> None:
    of_return = received(sale, sellable=1, damaged=1, lost=1)
    subject, text = last_email()
    assert subject == f"We checked your return for order {sale.reference}"
    assert f"checked the items of your return {of_return.reference}" in text
    assert (
        "1 x Lamp\n1 x Lamp, damaged\n1 x Lamp, lost on the way\n\nYou paid €30.00 for them."
        in text
    )


def test_goods_that_did_not_arrive(sale: Sale) -> None:
    approved(sale)
    Return.objects.update(decided_at=timezone.now() - timedelta(days=31))
    services.returns_expire()
    subject, text = last_email()
    assert subject == f"Your return for order {sale.reference} has ended"
    assert "more than 30 days ago" in text
    assert "2 x Lamp\n\nHave you sent them already?" in text


def test_a_return_closed_without_a_refund_says_why(sale: Sale) -> None:
    of_return = received(sale)
    services.return_refund(
        of_return=of_return, amount=Decimal(0), user_id=None, message="These are not our lamps."
    )
    subject, text = last_email()
    assert subject == f"Your return for order {sale.reference} is closed"
    assert "without a refund:\n\nThese are not our lamps.\n" in text


def test_a_refund_for_a_return_has_staffs_words(sale: Sale) -> None:
    refund = refunded(sale, "15.00")
    subject, text = last_email()
    assert subject == f"Your refund for order {sale.reference} is on its way"
    assert refund.of_return is not None
    assert (
        text
        == f"""Hello Bea Buyer,

We're refunding €15.00 for your return {refund.of_return.reference} from order \
{sale.reference}, to the card you paid with.

One was damaged.

We'll e-mail you when it is paid out. After that, it can take your bank some days to show it.

Refund reference: {refund.reference}
Your order: https://shop.example/orders/{sale.reference}/

Vitrine
"""
    )


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("goodwill", "We're refunding €1,250.00 of what you paid for order {}, to the card"),
        ("lost_parcel", "We're sorry that your parcel was lost. We're refunding €1,250.00 of"),
    ],
)
def test_a_refund_without_a_return(buyer: User, reason: str, words: str) -> None:
    sale = bought(buyer, {make_product("Piano", "5000.00"): 1})
    payment = Payment.objects.get()
    refund_request(payment=payment, amount=Decimal(1250), reason=reason, message="Sorry.")
    _, text = last_email()
    assert words.format(sale.reference) in text
    assert "\n\nSorry.\n\n" in text


def test_a_cancelled_order(buyer: User) -> None:
    sale = bought(buyer, dispatched=False)
    services.order_cancel(sale=sale, user_id=buyer.pk)
    subject, text = last_email()
    assert subject == f"Your refund for order {sale.reference} is on its way"
    assert f"Order {sale.reference} is cancelled. We're refunding €30.00 to the card" in text


def test_a_cancelled_order_that_was_refunded_before(buyer: User) -> None:
    sale = bought(buyer, dispatched=False)
    refund_request(payment=Payment.objects.get(), amount=Decimal(30), reason="goodwill")
    send_emails()
    for _ in range(2):
        assert services.order_cancel(sale=sale, user_id=None) is None
    sent = len(mail.outbox)
    subject, text = last_email()
    assert len(mail.outbox) == sent + 1
    assert subject == f"Your order {sale.reference} is cancelled"
    assert (
        text
        == f"""Hello Bea Buyer,

Order {sale.reference} is cancelled. We had already refunded all that you paid for it, so no other refund follows.

Your order: https://shop.example/orders/{sale.reference}/

Vitrine
"""
    )


def test_a_refund_that_was_paid_out(sale: Sale) -> None:
    refund = refunded(sale)
    paid(refund)
    subject, text = last_email()
    assert subject == f"Your refund for order {sale.reference} was paid out"
    assert (
        f"""We refunded €20.00 of what you paid for order {sale.reference} to the card you paid with. It can take your bank some days to show it.

Refund reference: {refund.reference}
"""
        in text
    )


def test_a_refund_that_failed_after_it_was_paid_out_is_tried_again(sale: Sale) -> None:
    refund = refunded(sale)
    paid(refund)
    refund_adopt(refund=refund, status=Refund.Status.FAILED)
    subject, text = last_email()
    assert subject == f"Your refund for order {sale.reference} is delayed"
    assert "€20.00" in text
    assert "We're trying again, to the same card. You don't need to do anything." in text


def test_a_failed_refund_that_needs_a_person_and_is_paid_another_way(sale: Sale) -> None:
    refund = refunded(sale)
    paid(refund)
    refund_adopt(refund=refund, status=Refund.Status.FAILED, failure=Refund.Failure.DISPUTED)
    assert "We still owe you this amount." in last_email()[1]
    new = refund_paid_otherwise(refund=refund, user_id=None, message="By transfer to <IBAN>.")
    subject, text = last_email()
    assert subject == f"Your refund for order {sale.reference} was paid out"
    assert (
        f"""We paid €20.00 of what you paid for order {sale.reference} back to you:

By transfer to <IBAN>.

Refund reference: {new.reference}
"""
        in text
    )
    assert "card" not in text


def test_without_an_address_of_the_shop_there_is_no_link(sale: Sale, settings: Settings) -> None:
    settings.SHOP_URL = ""
    lost_at_gateway(refunded(sale))
    _, text = last_email()
    assert "Your order" not in text
    assert "http" not in text

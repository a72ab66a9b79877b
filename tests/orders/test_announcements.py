"""Buyers learn how an order ended that was finished without them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.core import mail
from django.utils import timezone

from accounts.models import EmailAddress, Notice
from accounts.services import notice_add
from accounts.tasks import prune_notices
from orders.models import Payment, Sale, new_payment_key
from orders.recovery import settle_payments
from orders.reservation import reserve
from orders.services import sale_checkout
from payments.gateway import Answer, NoAnswerError
from retail.models import Email
from tests.support import fill_cart, make_buyer, make_product, order_for, send_emails

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.test import Client
    from pytest_django import DjangoAssertNumQueries, Settings

    from products.models import Product
    from tests.support import ScriptedGateway

pytestmark = pytest.mark.django_db(transaction=True)

NOT_CHARGED = "You haven&#x27;t been charged. Your items are back in your cart"


@pytest.fixture
def visitor(client: Client, buyer: User) -> Client:
    client.force_login(buyer)
    return client


def flash() -> Product:
    now = timezone.now()
    return make_product(
        "Kettle",
        flash_price="7.00",
        flash_starts_at=now - timedelta(hours=1),
        flash_ends_at=now + timedelta(hours=1),
    )


def work() -> None:
    """Let the worker finish what is due now, and send the e-mails."""
    Payment.objects.update(due_at=timezone.now())
    settle_payments()
    send_emails()


def text(client: Client, path: str = "/products/") -> str:
    return client.get(path).content.decode()


def subjects() -> list[str]:
    return [str(message.subject) for message in mail.outbox]


@pytest.mark.parametrize(
    ("answer", "notice", "letter"),
    [
        (
            Answer.DECLINED,
            "Your card was declined, so order {}",
            "Your card was declined, so order",
        ),
        (Answer.CANCELLED, "The payment for order {} could not be completed.", "we cancelled"),
    ],
)
def test_a_flash_order_that_fails_in_the_background_is_explained_by_email_and_once_on_a_page(
    visitor: Client, buyer: User, scripted_gateway: ScriptedGateway, answer: Answer,
    notice: str, letter: str,
) -> None:  # fmt: skip
    scripted_gateway.answers = [answer]
    sale = sale_checkout(order=order_for(buyer, flash(), 2))
    assert 'class="banner' not in text(visitor)
    work()
    assert subjects() == [f"We couldn't complete order {sale.reference} at Vitrine"]
    body = str(mail.outbox[0].body)
    assert letter in body
    assert "You haven't been charged." in body
    assert "2 x Kettle" in body
    assert "open your cart and order again" in body
    page = text(visitor)
    assert notice.format(sale.reference) in page
    assert NOT_CHARGED in page
    assert f'href="/orders/{sale.reference}/"' in page
    assert '<form method="dialog">' in page
    assert sale.reference not in text(visitor)


def test_an_order_without_an_answer_that_is_cancelled_later_is_explained(
    visitor: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway,
    settings: Settings,
) -> None:  # fmt: skip
    scripted_gateway.answers = [NoAnswerError("silence")]
    sale = sale_checkout(order=order_for(buyer, lamp))
    assert sale.payments.get().status == "UNKNOWN"
    settings.PAYMENT_CANCEL_AFTER = 0
    work()
    assert Sale.objects.get().status == "CANCELLED"
    assert subjects() == [f"We couldn't complete order {sale.reference} at Vitrine"]
    assert f"The payment for order {sale.reference} could not be completed." in text(visitor)


def test_an_order_confirmed_late_is_confirmed_by_email_and_on_a_page(
    visitor: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway,
    settings: Settings,
) -> None:  # fmt: skip
    settings.GATEWAY_ATTEMPTS = 1
    scripted_gateway.answers = [NoAnswerError("silence"), Answer.APPROVED]
    sale = sale_checkout(order=order_for(buyer, lamp))
    work()
    assert subjects() == [f"Your order {sale.reference} at Vitrine"]
    assert f"order {sale.reference} is confirmed." in text(visitor)
    assert sale.reference not in text(visitor)


def test_an_order_whose_request_died_is_explained(
    visitor: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [Answer.DECLINED]
    sale, _ = reserve(order_for(buyer, lamp), new_payment_key())
    work()
    assert len(subjects()) == 1
    assert sale.reference in text(visitor)


@pytest.mark.parametrize("answer", [Answer.APPROVED, Answer.DECLINED, Answer.REJECTED])
def test_who_sees_the_outcome_at_once_is_not_told_twice(
    visitor: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway, answer: Answer
) -> None:
    scripted_gateway.answers = [answer]
    sale = sale_checkout(order=order_for(buyer, lamp))
    send_emails()
    confirmation = [f"Your order {sale.reference} at Vitrine"]
    assert subjects() == (confirmation if answer is Answer.APPROVED else [])
    assert not Notice.objects.exists()


@pytest.mark.parametrize("page", ["", "status/"])
def test_who_watches_the_order_gets_no_notice(
    visitor: Client, buyer: User, scripted_gateway: ScriptedGateway, page: str
) -> None:
    scripted_gateway.answers = [Answer.DECLINED]
    sale = sale_checkout(order=order_for(buyer, flash()))
    text(visitor, f"/orders/{sale.reference}/{page}")
    work()
    assert Notice.objects.count() == 1
    watched = text(visitor, f"/orders/{sale.reference}/{page}")
    assert "Your card was declined" in watched
    assert "<dialog" not in watched
    assert not Notice.objects.exists()


def test_the_customer_without_an_address_still_gets_the_notice(
    visitor: Client, buyer: User, scripted_gateway: ScriptedGateway
) -> None:
    type(buyer).objects.update(email="")
    scripted_gateway.answers = [Answer.DECLINED]
    sale = sale_checkout(order=order_for(buyer, flash()))
    work()
    assert (mail.outbox, Email.objects.get().state) == ([], "not_needed")
    assert sale.reference in text(visitor)


def test_the_email_and_the_notice_commit_with_the_order(
    buyer: User, scripted_gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted_gateway.answers = [Answer.DECLINED]
    sale_checkout(order=order_for(buyer, flash()))

    def broken(**_: object) -> None:
        raise LookupError

    monkeypatch.setattr("orders.settlement.stock_release", broken)
    Payment.objects.update(due_at=timezone.now())
    settle_payments()
    assert Sale.objects.get().status == "PENDING"
    assert not Email.objects.exists()
    assert not Notice.objects.exists()


def test_nobody_sees_the_notice_of_another_customer_and_only_a_page_uses_it_up(
    visitor: Client, buyer: User
) -> None:
    notice_add(user_id=buyer.pk, is_good=True, text="For you", link="/x/")
    other = type(visitor)()
    other.force_login(make_buyer("other"))
    assert "For you" not in text(other) + text(type(visitor)())
    in_advance = visitor.get("/products/", headers={"Sec-Purpose": "prefetch"})
    assert "For you" not in in_advance.content.decode()
    visitor.head("/products/")
    assert "For you" in text(visitor)


def test_a_later_notice_about_the_same_page_replaces_the_first(
    visitor: Client, buyer: User
) -> None:
    for words in ("First", "Second"):
        notice_add(user_id=buyer.pk, is_good=True, text=words, link="/x/")
    page = text(visitor)
    assert ("First" in page, "Second" in page) == (False, True)


def test_without_notices_no_page_asks_for_them(
    visitor: Client, buyer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    text(visitor, "/accounts/profile/")
    with django_assert_num_queries(4):  # session, profile, address, cart
        text(visitor, "/accounts/profile/")


def test_old_notices_are_deleted(buyer: User) -> None:
    for link, days in (("/old/", 31), ("/new/", 29)):
        notice_add(user_id=buyer.pk, is_good=True, text="Text", link=link)
        then = timezone.now() - timedelta(days=days)
        Notice.objects.filter(link=link).update(created_at=then)
    assert prune_notices() == 1
    assert Notice.objects.get().link == "/new/"


@pytest.mark.parametrize("given", ["gift@example.org", ""])
def test_the_email_goes_to_the_address_given_for_the_order(
    visitor: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway, given: str
) -> None:
    fill_cart(buyer, **{f"p{lamp.pk}": 1})
    page = visitor.get("/checkout/").context["form"]
    assert page.initial["email"] == "buyer@example.com"
    form = {
        "delivery_name": "Bea",
        "delivery_address": "1 Example Street",
        "email": given,
        "payment_token": "tok_good",
        "idempotency_key": page.fields["idempotency_key"].initial(),
        "lines_shown": page.initial["lines_shown"],
    }
    assert visitor.post("/checkout/", form).status_code == 302
    EmailAddress.objects.all().delete()  # whether the account's is verified does not matter
    send_emails()
    assert [message.to for message in mail.outbox] == [[given or "buyer@example.com"]]

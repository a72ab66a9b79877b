"""What a customer's export has of returns and refunds, and what an erasure leaves."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from orders.models import Sale
from retail import personal_data
from retail.models import Email
from retail.personal_data import exported
from returns.models import Refund, Return
from returns.tasks import forget_words
from tests.returns.rows import make_paid, make_refund, make_return
from tests.support import make_buyer

if TYPE_CHECKING:
    from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db


def erase(user: User) -> None:
    with transaction.atomic():
        personal_data.erase(user.pk)


def test_the_export_has_the_persons_returns_and_refunds(buyer: User) -> None:
    payment, other = make_paid(buyer), make_paid(make_buyer("other"))
    for each in (payment, other):
        made = make_return(each, "closed", answer="Sorry.")
        make_refund(each, "SUCCEEDED", of_return=made, message="For the crack.")
    exported: dict[str, Any] = personal_data.exported(buyer.pk)
    (returned,), (refunded,) = exported["returns"], exported["refunds"]
    assert returned["sale__reference"] == refunded["payment__sale__reference"]
    assert returned["sale__reference"] == payment.sale.reference
    assert (returned["note"], returned["answer"]) == ("It has a crack.", "Sorry.")
    assert [(item["sale_item__product_name"], item["requested"]) for item in returned["items"]] == [
        ("Lamp", 1)
    ]
    assert "id" not in returned
    assert (str(refunded["amount"]), refunded["message"]) == ("10.00", "For the crack.")


def test_an_erasure_leaves_amounts_and_no_words(buyer: User) -> None:
    payment, other = make_paid(buyer), make_paid(make_buyer("other"))
    now = timezone.now()
    for each in (payment, other):
        for status in ("rejected", "expired", "closed"):
            make_return(each, status, answer="Sorry.")
        make_refund(each, "SUCCEEDED", message="For the crack.")
        make_refund(each, "FAILED", settled_at=now, message="For the crack.")
    erase(buyer)
    mine = Return.objects.filter(sale=payment.sale)
    assert set(mine.values_list("note", "answer")) == {("", "")}
    assert set(payment.refunds.values_list("message", "amount")) == {("", Decimal(10))}
    assert set(other.refunds.values_list("message", flat=True)) == {"For the crack."}
    assert not Return.objects.filter(sale=other.sale, note="").exists()


@pytest.mark.parametrize(
    "status", ["REQUESTED", "UNKNOWN", "PENDING", "NEEDS_HUMAN", "FAILED", "CANCELLED"]
)
def test_a_refund_that_is_owed_comes_first(buyer: User, status: str) -> None:
    payment = make_paid(buyer)
    refund = make_refund(payment, status, message="For the crack.")
    with pytest.raises(personal_data.ErasureRefusedError, match="has not been paid out yet"):
        erase(buyer)
    assert Refund.objects.get().message == "For the crack."
    make_refund(make_paid(make_buyer("other")))  # another's does not matter
    refund.delete()
    erase(buyer)


@pytest.mark.parametrize("status", ["requested", "approved", "received"])
def test_a_return_under_way_comes_first(buyer: User, status: str) -> None:
    made = make_return(make_paid(buyer), status)
    with pytest.raises(personal_data.ErasureRefusedError, match="You are returning items"):
        erase(buyer)
    made.refresh_from_db()
    assert made.note == "It has a crack."


def test_emails_about_returns_are_exported_and_erased(buyer: User) -> None:
    payment, other = make_paid(buyer), make_paid(make_buyer("other"))
    for each in (payment, other):
        Email.objects.create(kind="return_closed", about=make_return(each, "closed").reference)
        Email.objects.create(kind="refund_paid", about=make_refund(each, "SUCCEEDED").reference)
    emails: Any = exported(buyer.pk)["return_emails"]
    assert [email["kind"] for email in emails] == ["return_closed", "refund_paid"]
    erase(buyer)
    assert Email.objects.count() == 2
    assert not exported(buyer.pk)["return_emails"]


def test_words_are_forgotten_with_the_orders_details(buyer: User) -> None:
    old, young, owed, open_ = (make_paid(buyer) for _ in range(4))
    for each in (old, young):
        make_return(each, "closed", answer="Sorry.")
        make_refund(each, "SUCCEEDED", message="For the crack.")
    make_refund(owed, "FAILED", message="For the crack.")
    make_return(open_, "approved")
    past = timezone.now() - timedelta(days=settings.ORDER_DETAILS_KEEP_DAYS, minutes=1)
    Sale.objects.exclude(pk=young.sale.pk).update(finished_at=past)
    assert forget_words() == 2
    left = Return.objects.exclude(note="").values_list("sale", flat=True)
    assert set(left) == {young.sale.pk, open_.sale.pk}
    kept = Refund.objects.exclude(message="").values_list("payment", flat=True)
    assert set(kept) == {young.pk, owed.pk}
    assert forget_words() == 0

"""Returns and refunds in the admin: searchable, complete and read-only; who may see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from accounts.roles import create_groups
from tests.returns.rows import make_paid, make_refund, make_return
from tests.support import make_buyer

if TYPE_CHECKING:
    from orders.models import Payment

pytestmark = pytest.mark.django_db


@pytest.fixture
def payment(buyer: User) -> Payment:
    return make_paid(buyer)


def found(client: Client, model: str, term: str) -> list[Any]:
    response = client.get(f"/admin/returns/{model}/", {"q": term})
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


def test_a_return_is_shown_with_its_items_and_refunds(
    payment: Payment, admin_client: Client
) -> None:
    made = make_return(payment, "closed", answer="Sorry about that.")
    refund = make_refund(payment, "SUCCEEDED", of_return=made, reason="return")
    page = admin_client.get(f"/admin/returns/return/{made.pk}/change/").content.decode()
    for text in (made.reference, "It has a crack.", "Sorry about that.", "Lamp", refund.reference):
        assert text in page, text
    assert 'name="_save"' not in page


def test_a_refund_is_shown_and_cannot_be_changed(payment: Payment, admin_client: Client) -> None:
    refund = make_refund(payment, "FAILED", failure="disputed", message="For the trouble.")
    path = f"/admin/returns/refund/{refund.pk}/change/"
    page = admin_client.get(path).content.decode()
    for text in (refund.reference, refund.key, "the charge is disputed", "For the trouble."):
        assert text in page, text
    assert 'name="_save"' not in page
    assert admin_client.post(path, {"amount": "1000"}).status_code == 403
    assert "tok_secret" not in page
    assert admin_client.get("/admin/returns/refund/add/").status_code == 403
    assert admin_client.post(f"/admin/returns/refund/{refund.pk}/delete/").status_code == 403


def test_search(payment: Payment, admin_client: Client) -> None:
    other = make_paid(make_buyer("other"))
    for each in (payment, other):
        make_return(each)
        make_refund(each)
    made, refund = payment.sale.returns.get(), payment.refunds.get()
    for term in (made.reference, made.reference.lower(), payment.sale.reference, "buyer"):
        assert found(admin_client, "return", term) == [made], term
    for term in (refund.reference, f" {refund.key} ", payment.sale.reference, "buyer"):
        assert found(admin_client, "refund", term) == [refund], term
    assert found(admin_client, "refund", "RF-NOTHING") == []
    assert len(found(admin_client, "refund", "")) == 2


@pytest.mark.parametrize(
    ("role", "sees", "may"),
    [
        ("support", True, True),
        ("finance", True, False),
        ("on-call", True, False),
        ("merchandiser", False, False),
    ],
)
def test_support_works_on_refunds_and_finance_sees_them(
    payment: Payment, role: str, sees: bool, may: bool
) -> None:
    create_groups()
    user = User.objects.create_user("me", "me@example.com", "my-password-123", is_staff=True)
    user.groups.set([Group.objects.get(name=role)])
    refund, made = make_refund(payment), make_return(payment)
    client = Client()
    client.force_login(user)
    for model, pk in (("refund", refund.pk), ("return", made.pk)):
        page = client.get(f"/admin/returns/{model}/{pk}/change/")
        assert page.status_code == (200 if sees else 403)
        assert user.has_perm(f"returns.change_{model}") == may
        for action in ("add", "delete"):
            assert not user.has_perm(f"returns.{action}_{model}")

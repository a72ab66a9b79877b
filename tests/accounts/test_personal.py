"""Users change their password, download everything about them, and erase it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.addresses import address_pend, pending_address
from accounts.models import EmailAddress, Notice, UserProfile
from accounts.services import notice_add, profile_save_delivery
from accounts.tasks import prune_addresses
from orders.models import Payment, Sale
from orders.services import sale_checkout
from orders.tasks import forget_buyers
from payments.gateway import NoAnswerError
from retail.models import Email, Metric, SecurityEvent
from tests.support import fill_cart, make_buyer, make_product, order_for, send_emails

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.support import ScriptedGateway

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-battery"
NEW = "another-horse-battery-9"
PASSWORD_PAGE, DATA, ERASE = (f"/accounts/{name}/" for name in ("password", "data", "delete"))
# What the fixture stores of the buyer, each in a place of its own.
TRACES = (
    *("zora", "Zora First", "Zora Profile", "+49 151 000", "7 Profile Lane", "Zora Delivery"),
    *("8 Delivery Lane", "gift@example.org", "tok_good", "new@example.net", "198.51.100.7"),
)


@pytest.fixture
def zora(client: Client, scripted_gateway: ScriptedGateway) -> User:
    """A customer of whom every table has something."""
    user = make_buyer("zora")
    User.objects.filter(pk=user.pk).update(first_name="Zora First")
    Client(REMOTE_ADDR="198.51.100.7").post(
        "/accounts/login/", {"username": "zora", "password": PASSWORD}
    )
    sale_checkout(order=order_for(user, make_product("Vase")))
    send_emails()
    UserProfile.objects.update(
        full_name="Zora Profile", phone="+49 151 000", address="7 Profile Lane"
    )
    Sale.objects.update(
        delivery_name="Zora Delivery", delivery_address="8 Delivery Lane", email="gift@example.org",
        dispatched_at=timezone.now(),
    )  # fmt: skip
    fill_cart(user, **{f"p{make_product('Kettle').pk}": 2})
    notice_add(user_id=user.pk, is_good=True, text="A notice of Zora", link="/orders/x/")
    LogEntry.objects.create(
        user=make_buyer("boss"),
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(user.pk),
        object_repr="zora",
        action_flag=2,
    )
    client.force_login(user)
    form = {"email": "new@example.net", "password": PASSWORD}
    assert client.post("/accounts/email/", form).status_code == 302
    return user


def tables() -> dict[str, str]:
    """Return the text of all rows, by table."""
    models = [model for model in apps.get_models() if model is not Metric]
    return {model._meta.label: str(list(model._base_manager.values())) for model in models}


def test_a_download_has_everything(client: Client, zora: User) -> None:
    response = client.post(DATA, {"password": PASSWORD})
    assert response.headers["Content-Disposition"] == 'attachment; filename="account.json"'
    assert "no-store" in response.headers["Cache-Control"]
    data, text = response.json(), response.content.decode()
    assert [trace for trace in (*TRACES, "A notice of Zora", "Kettle") if trace not in text] == []
    assert data["orders"][0]["items"][0]["product_name"] == "Vase"
    assert data["orders"][0]["payments"][0]["amount"] == "10.00"
    zora.refresh_from_db()
    assert zora.password not in text
    assert str(client.session.session_key) not in text
    assert SecurityEvent.objects.filter(event="data_exported", user_id=zora.pk).count() == 1


def test_a_download_has_nothing_of_others(client: Client, zora: User) -> None:
    client.force_login(make_buyer("other"))
    text = client.post(DATA, {"password": PASSWORD}).content.decode()
    assert '"username": "other"' in text
    assert [trace for trace in TRACES if trace in text] == []


@pytest.mark.parametrize("page", [DATA, ERASE])
def test_both_ask_for_the_password_with_limits(
    client: Client, zora: User, settings: Settings, page: str
) -> None:
    settings.LOGIN_FAILURE_LIMIT = 2
    before = tables()["auth.User"]
    answers = [client.post(page, {"password": word}).status_code for word in ("", "x", "y")]
    assert (answers, client.post(page, {"password": PASSWORD}).status_code) == ([400] * 3, 429)
    assert tables()["auth.User"] == before
    assert (
        Client()
        .post(page, {"password": PASSWORD})
        .headers["Location"]
        .startswith("/accounts/login/")
    )


def test_an_erasure_leaves_no_trace_but_ids(client: Client, zora: User) -> None:
    assert {trace for trace in TRACES if trace not in str(tables())} == set()
    response = client.post(ERASE, {"password": PASSWORD}, follow=True)
    assert "Your account and your data are deleted." in response.content.decode()
    assert not response.wsgi_request.user.is_authenticated
    assert [
        (name, trace) for name, text in tables().items() for trace in TRACES if trace in text
    ] == []
    sale = Sale.objects.get()
    assert (sale.user_id, sale.status, sale.items.count(), sale.payments.count()) == (
        zora.pk, "CONFIRMED", 1, 1,
    )  # fmt: skip
    events = SecurityEvent.objects.filter(user_id=zora.pk)
    assert events.filter(event="account_erased").count() == 1
    assert set(events.values_list("client", flat=True)) == {""}
    zora.refresh_from_db()
    assert (zora.is_active, zora.has_usable_password()) == (False, False)
    form = {"username": zora.username, "password": PASSWORD}
    assert Client().post("/accounts/login/", form).status_code == 400


def test_other_sessions_end_and_others_keep_theirs(client: Client, zora: User) -> None:
    second, other = Client(), Client()
    second.force_login(zora)
    other.force_login(make_buyer("other"))
    client.post(ERASE, {"password": PASSWORD})
    assert second.get("/accounts/profile/").status_code == 302
    assert other.get("/accounts/profile/").status_code == 200


def test_an_open_payment_comes_first(
    client: Client, zora: User, scripted_gateway: ScriptedGateway, settings: Settings
) -> None:
    settings.GATEWAY_ATTEMPTS = 1
    scripted_gateway.answers = [NoAnswerError("silence")]
    sale_checkout(order=order_for(zora, make_product()))
    before = tables()["auth.User"], tables()["orders.Sale"], tables()["retail.SecurityEvent"]
    page = client.post(ERASE, {"password": PASSWORD})
    assert page.status_code == 400
    assert "The payment of one of your orders has not ended." in page.content.decode()
    assert (
        tables()["auth.User"], tables()["orders.Sale"], tables()["retail.SecurityEvent"],
    ) == before  # fmt: skip


def test_an_order_to_be_dispatched_comes_first(client: Client, zora: User) -> None:
    Sale.objects.update(dispatched_at=None)
    page = client.post(ERASE, {"password": PASSWORD})
    assert page.status_code == 400
    assert "One of your orders has not been dispatched." in page.content.decode()
    assert Sale.objects.get().delivery_address == "8 Delivery Lane"


def test_staff_do_not_erase_themselves(client: Client, zora: User) -> None:
    User.objects.filter(pk=zora.pk).update(is_staff=True)
    assert "closed by an administrator" in client.get(ERASE).content.decode()
    assert client.post(ERASE, {"password": PASSWORD}).status_code == 403
    assert User.objects.filter(username="zora", is_active=True).exists()


def test_a_late_confirmation_does_not_bring_a_profile_back(client: Client, zora: User) -> None:
    client.post(ERASE, {"password": PASSWORD})
    profile_save_delivery(user_id=zora.pk, full_name="Zora Delivery", address="8 Delivery Lane")
    assert not UserProfile.objects.filter(user=zora.pk).exclude(full_name="", address="").exists()


def test_a_new_password_ends_other_sessions_and_is_notified(client: Client, zora: User) -> None:
    send_emails()
    mail.outbox.clear()
    second = Client()
    second.force_login(zora)
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert client.post(PASSWORD_PAGE, form).headers["Location"] == "/accounts/profile/"
    assert client.get("/accounts/profile/").status_code == 200
    assert second.get("/accounts/profile/").status_code == 302
    send_emails()
    assert [(message.to, message.subject) for message in mail.outbox] == [
        (["zora@example.com"], "Your Vitrine password was changed")
    ]
    zora.refresh_from_db()
    assert zora.check_password(NEW)


def test_a_new_password_needs_the_old_one(client: Client, zora: User, settings: Settings) -> None:
    settings.LOGIN_FAILURE_LIMIT = 2
    wrong = {"old_password": "x", "new_password1": NEW, "new_password2": NEW}
    assert [client.post(PASSWORD_PAGE, wrong).status_code for _ in range(2)] == [400, 400]
    assert client.post(PASSWORD_PAGE, {**wrong, "old_password": PASSWORD}).status_code == 429
    zora.refresh_from_db()
    assert zora.check_password(PASSWORD)


def test_who_bought_what_is_forgotten_after_a_while(zora: User, settings: Settings) -> None:
    settings.ORDER_DETAILS_KEEP_DAYS = 100
    Sale.objects.update(finished_at=timezone.now() - timedelta(days=99))
    assert forget_buyers() == 0
    Sale.objects.update(finished_at=timezone.now() - timedelta(days=101))
    assert (forget_buyers(), forget_buyers()) == (1, 0)
    values = Sale.objects.values_list("delivery_name", "delivery_address", "email").get()
    assert (values, Payment.objects.get().token) == (("", "", ""), "")
    assert Notice.objects.count() == 1


def test_a_new_address_that_nobody_confirms_is_forgotten(zora: User) -> None:
    assert prune_addresses() == 0
    address_pend(user_id=zora.pk, address="new@example.net")
    long_ago = timezone.now() - timedelta(days=31)
    EmailAddress.objects.filter(user=zora).update(pending_since=long_ago)
    assert (prune_addresses(), prune_addresses()) == (1, 0)
    assert pending_address(user_id=zora.pk) == ""
    assert Email.objects.exists()

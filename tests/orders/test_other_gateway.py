"""GATEWAY_URL is changed while payments are unsettled: the new gateway is not asked for them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.utils import timezone

from orders import health, recovery
from orders.checks import unsettled_payments_are_this_gateways
from orders.models import Payment, new_payment_key
from orders.reservation import reserve
from orders.services import sale_checkout
from payments import gateway
from payments.gateway import Answer, NoAnswerError
from retail.audit import runner
from retail.startup import refuse_errors
from tests.audits import checkpoint_of, open_violations
from tests.orders.state import pass_time
from tests.support import make_product, migrate, order_for

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django import Settings

    from products.models import Product
    from tests.support import ScriptedGateway

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW = "old.example", "new.example"


@pytest.fixture(autouse=True)
def _old(settings: Settings) -> None:
    settings.GATEWAY_NAME = OLD


@pytest.fixture
def unknown(buyer: User, lamp: Product, scripted_gateway: ScriptedGateway) -> Payment:
    """Return a payment that the old gateway was asked for, and gave no answer."""
    scripted_gateway.answers = [NoAnswerError()]
    payment = sale_checkout(order=order_for(buyer, lamp)).payments.get()
    scripted_gateway.answers = [Answer.APPROVED]
    scripted_gateway.charged.clear()
    assert (payment.status, payment.gateway) == ("UNKNOWN", OLD)
    return payment


def status() -> str:
    return Payment.objects.get().status


@pytest.mark.parametrize("seconds", [31, 121, 7200])
def test_it_is_neither_charged_nor_cancelled_there_and_settles_at_its_own(
    unknown: Payment, scripted_gateway: ScriptedGateway, settings: Settings, seconds: float
) -> None:
    settings.GATEWAY_NAME = NEW
    pass_time(seconds)
    assert (recovery.settle_due(), recovery.claim(timezone.now())) == (0, [])
    assert (scripted_gateway.charged, scripted_gateway.cancelled) == ([], [])
    assert status() == "UNKNOWN"
    settings.GATEWAY_NAME = OLD
    assert recovery.settle_due() == 1
    asked = [charge.key for charge in scripted_gateway.charged] + scripted_gateway.cancelled
    assert asked == [unknown.key]
    assert status() != "UNKNOWN"


def test_what_an_older_version_has_inserted_is_of_the_gateway_now_configured(
    unknown: Payment, scripted_gateway: ScriptedGateway
) -> None:
    Payment.objects.update(gateway="")
    pass_time(31)
    assert recovery.settle_due() == 1
    assert [charge.key for charge in scripted_gateway.charged] == [unknown.key]


def test_what_was_never_sent_waits_for_its_gateway_and_ends_as_never_sent(
    buyer: User, scripted_gateway: ScriptedGateway, settings: Settings
) -> None:
    now, hours = timezone.now(), timedelta(hours=2)
    flash = make_product(
        "Flash", flash_price="7.00", flash_starts_at=now - hours, flash_ends_at=now + hours
    )
    reserve(order_for(buyer, flash), new_payment_key())
    settings.GATEWAY_NAME = NEW  # whose card tokens are others
    assert recovery.settle_due() == 0
    pass_time(settings.PAYMENT_SEND_WITHIN)
    assert recovery.settle_due() == 1
    payment = Payment.objects.get()
    assert (payment.status, payment.failure_reason) == ("FAILED", "unsent")
    assert (scripted_gateway.charged, scripted_gateway.cancelled) == ([], [])


@pytest.mark.parametrize(("seconds", "state"), [(60, "warn"), (7200, "bad")])
def test_the_health_check_names_the_other_gateway(
    unknown: Payment, settings: Settings, seconds: float, state: str
) -> None:
    pass_time(seconds)
    here = health.unsettled(timezone.now())
    settings.GATEWAY_NAME = NEW
    elsewhere = health.unsettled(timezone.now())
    assert (here.state, elsewhere.state) == (state, state)
    assert elsewhere.detail.endswith("the shop's gateway cannot know 1 at old.example.")
    assert OLD not in here.detail
    if state == "bad":
        assert "the earlier GATEWAY_URL" in elsewhere.step
        assert "the gateway answers" in here.step


def test_web_and_worker_say_so_when_they_start(unknown: Payment, settings: Settings) -> None:
    assert unsettled_payments_are_this_gateways(databases=["default"]) == []
    settings.GATEWAY_NAME = NEW
    [warning] = unsettled_payments_are_this_gateways(databases=["default"])
    assert warning.id == "orders.W003"
    assert warning.msg == (
        "1 payment at old.example unsettled until a worker asks that gateway again: "
        "GATEWAY_NAME is new.example."
    )
    refuse_errors()  # it is only a warning
    Payment.objects.update(status="FAILED")
    assert unsettled_payments_are_this_gateways(databases=["default"]) == []


def test_the_audit_compares_each_payment_with_its_own_gateway(
    unknown: Payment, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Payment.objects.update(status="COMPLETED", created_at=timezone.now() - timedelta(days=1))
    monkeypatch.setattr(gateway, "read", lambda path, _: {path.removeprefix("/v1/"): []})
    assert set(open_violations("payment_has_charge")) == {unknown.key}
    settings.GATEWAY_NAME = NEW
    assert open_violations("payment_has_charge", full=True) == {}


@pytest.mark.parametrize("invariant", ["charge_has_payment", "refunds_within_captured"])
def test_the_audit_reads_another_gateways_ledger_from_its_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, invariant: str
) -> None:
    asked: list[int] = []
    at = (timezone.now() - timedelta(days=1)).isoformat()
    row: dict[str, object] = {"key": "k", "amount": "9.00", "currency": "EUR", "created_at": at}
    of: dict[str, dict[str, object]] = {
        "charges": {"status": "approved", "refunded": "9", "disputed": False},
        "refunds": {"status": "succeeded", "refund_id": "re_1", "charge_key": "k"}
        | {"reference": None, "reason": None},
    }

    def read(path: str, query: dict[str, int]) -> dict[str, list[dict[str, object]]]:
        if "after" in query:
            asked.append(query["after"])
        table = path.removeprefix("/v1/")
        return {table: [] if query.get("after") else [{"id": 7, **row, **of[table]}]}

    monkeypatch.setattr(gateway, "read", read)
    for name, first in ((OLD, 0), (OLD, 7), (NEW, 0), (NEW, 7)):
        settings.GATEWAY_NAME = name
        asked.clear()
        runner.audit([invariant])
        assert asked[0] == first
        assert checkpoint_of(invariant) == 7


@pytest.mark.usefixtures("migrated_afterwards")
def test_existing_payments_are_of_the_gateway_now_configured(unknown: Payment) -> None:
    migrate(("orders", "0005_confirmations_to_outbox"))
    migrate(("orders", "0006_payment_gateway"))
    assert Payment.objects.get().gateway == OLD
    with connection.cursor() as cursor:  # what a process of the older version still inserts
        cursor.execute(
            "INSERT INTO orders_payment (sale_id, key, token, amount, currency, status,"
            " failure_reason, created_at, due_at) SELECT sale_id, 'other', token, amount,"
            " currency, 'FAILED', '', created_at, due_at FROM orders_payment"
        )
    assert Payment.objects.get(key="other").gateway == ""

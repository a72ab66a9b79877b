"""What was never sent is sent, or ended as never sent; what may have been sent is cancelled."""

import pkgutil
from datetime import datetime, timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from cart.models import CartItem
from orders import migrations, recovery, settlement
from orders.models import Payment, Sale, new_payment_key
from orders.reservation import reserve
from orders.services import sale_checkout
from payments import breaker, services
from payments.gateway import Answer, Charge, NoAnswerError
from products.models import Product
from tests.orders.state import pass_time
from tests.support import ScriptedGateway, ledger, make_product, moved, order_for

pytestmark = pytest.mark.django_db(transaction=True)


def never_sent() -> NoAnswerError:
    return NoAnswerError("refused", maybe_sent=False)


@pytest.fixture
def lamp() -> Product:
    now = timezone.now()
    hours = timedelta(hours=2)
    sale = {"flash_price": "7.00", "flash_starts_at": now - hours, "flash_ends_at": now + hours}
    return make_product("Lamp", "10.00", 5, **sale)


@pytest.fixture
def flash(buyer: User, lamp: Product) -> Payment:
    """Return the payment of a flash sale's order, which the worker has to send."""
    sale, payment = reserve(order_for(buyer, lamp, 2), new_payment_key())
    assert (sale.kind, payment.sent_at) == (Sale.Kind.FLASH, None)
    return payment


def states() -> tuple[str, str, str]:
    payment = Payment.objects.select_related("sale").get()
    return payment.status, payment.failure_reason, payment.sale.status


def unsent_mode(settings: Settings) -> None:
    """Set what .env.example advises for a gateway without idempotency keys."""
    settings.GATEWAY_RETRY, settings.PAYMENT_CANCEL_AFTER = "unsent", 0


@pytest.mark.parametrize("away", [0, 121, 599])
@pytest.mark.parametrize("mode", ["keyed", "unsent"])
def test_a_flash_order_is_charged_however_long_the_worker_was_away(
    flash: Payment, scripted_gateway: ScriptedGateway, settings: Settings, mode: str, away: int
) -> None:
    if mode == "unsent":
        unsent_mode(settings)
    pass_time(away)
    assert recovery.settle_due() == 1
    assert [charge.key for charge in scripted_gateway.charged] == [flash.key]
    assert scripted_gateway.cancelled == []
    assert states() == ("COMPLETED", "", "CONFIRMED")


def test_it_is_marked_as_sent_before_it_is_sent(
    flash: Payment, scripted_gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: list[datetime | None] = []

    def charge(request: Charge) -> Answer:
        marked.append(Payment.objects.get(key=request.key).sent_at)
        return Answer.APPROVED

    monkeypatch.setattr("payments.gateway.charge", charge)
    before = timezone.now()
    recovery.settle_due()
    assert marked == [Payment.objects.get().sent_at]
    assert marked[0] is not None
    assert before <= marked[0] <= timezone.now()


def test_sent_without_an_answer_it_is_cancelled_not_sent_again_without_keys(
    flash: Payment, scripted_gateway: ScriptedGateway, settings: Settings
) -> None:
    unsent_mode(settings)
    scripted_gateway.answers = [NoAnswerError()]
    recovery.settle_due()
    assert states() == ("UNKNOWN", "", "PENDING")
    pass_time(10)
    recovery.settle_due()
    assert (len(scripted_gateway.charged), scripted_gateway.cancelled) == (1, [flash.key])
    assert states() == ("FAILED", "cancelled", "CANCELLED")


def test_the_time_until_it_is_cancelled_counts_from_the_first_charge(
    flash: Payment, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [NoAnswerError()]
    pass_time(300)
    recovery.settle_due()
    pass_time(60)
    recovery.settle_due()
    charged = len(scripted_gateway.charged)
    assert (charged, scripted_gateway.cancelled) == (4, [])  # two tries each
    pass_time(61)
    recovery.settle_due()
    assert (len(scripted_gateway.charged), scripted_gateway.cancelled) == (4, [flash.key])


@pytest.mark.parametrize("mode", ["keyed", "unsent"])
def test_without_a_connection_it_stays_never_sent(
    flash: Payment, scripted_gateway: ScriptedGateway, settings: Settings, mode: str
) -> None:
    if mode == "unsent":
        unsent_mode(settings)
    scripted_gateway.answers = [never_sent()]
    for _ in range(2):
        recovery.settle_due()
        assert (states()[0], Payment.objects.get().sent_at) == ("UNKNOWN", None)
        pass_time(130)
    scripted_gateway.answers = [Answer.APPROVED]
    recovery.settle_due()
    assert scripted_gateway.cancelled == []
    assert states() == ("COMPLETED", "", "CONFIRMED")


@pytest.mark.parametrize("mode", ["keyed", "unsent"])
def test_so_does_an_order_whose_buyer_waited_for_the_answer(
    buyer: User, scripted_gateway: ScriptedGateway, settings: Settings, mode: str
) -> None:
    if mode == "unsent":
        unsent_mode(settings)
    scripted_gateway.answers = [never_sent()]
    sale_checkout(order=order_for(buyer, make_product("Chair", "10.00", 5)))
    assert (states()[0], Payment.objects.get().sent_at) == ("UNKNOWN", None)
    scripted_gateway.answers = [Answer.APPROVED]
    pass_time(130)
    recovery.settle_due()
    assert scripted_gateway.cancelled == []
    assert states() == ("COMPLETED", "", "CONFIRMED")


def test_one_try_that_may_have_arrived_is_enough_to_count_as_sent(
    buyer: User, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [NoAnswerError(), never_sent()]
    sale_checkout(order=order_for(buyer, make_product("Chair", "10.00", 5)))
    assert len(scripted_gateway.charged) == 2
    assert Payment.objects.get().sent_at is not None
    pass_time(130)
    recovery.settle_due()
    assert len(scripted_gateway.cancelled) == 1


def test_an_order_whose_web_process_died_may_have_been_sent(
    buyer: User, scripted_gateway: ScriptedGateway
) -> None:
    reserve(order_for(buyer, make_product("Chair", "10.00", 5)), new_payment_key())
    pass_time(130)
    recovery.settle_due()
    assert (scripted_gateway.charged, len(scripted_gateway.cancelled)) == ([], 1)


def test_a_worker_that_died_between_claim_and_charge_has_sent_nothing(
    flash: Payment, scripted_gateway: ScriptedGateway, settings: Settings
) -> None:
    unsent_mode(settings)
    assert len(recovery.claim(timezone.now())) == 1
    pass_time(61)
    recovery.settle_due()
    assert (len(scripted_gateway.charged), scripted_gateway.cancelled) == (1, [])


def test_while_the_breaker_is_open_it_stays_never_sent(
    flash: Payment, scripted_gateway: ScriptedGateway
) -> None:
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    recovery.settle_due()
    assert scripted_gateway.charged == []
    payment = Payment.objects.get()
    assert (payment.status, payment.sent_at) == ("PENDING", None)


def test_too_late_it_is_ended_as_never_sent_and_the_buyer_is_told(
    flash: Payment, scripted_gateway: ScriptedGateway, client: Client, buyer: User, lamp: Product
) -> None:
    pass_time(600)
    with moved() as changes:
        assert recovery.settle_due() == 1
    assert (scripted_gateway.charged, scripted_gateway.cancelled) == ([], [])
    assert states() == ("FAILED", "unsent", "CANCELLED")
    assert [row[0] for row in ledger(lamp)] == [-2, 2]
    assert CartItem.objects.get().quantity == 2
    assert changes['retail_orders_total{outcome="cancelled"}'] == 1
    assert changes['retail_payments_total{outcome="failed"}'] == 1
    client.force_login(buyer)
    page = client.get(f"/orders/{flash.sale.reference}/").content.decode()
    assert "We couldn't send your payment in time. You haven't been charged." in page


def test_nobody_sends_what_another_worker_has_sent_since_it_was_claimed(
    flash: Payment, scripted_gateway: ScriptedGateway
) -> None:
    (late,) = recovery.claim(timezone.now())
    scripted_gateway.answers = [NoAnswerError()]
    pass_time(61)
    recovery.settle_due()
    tries = len(scripted_gateway.charged)
    recovery.finish(late)
    assert len(scripted_gateway.charged) == tries
    assert states() == ("UNKNOWN", "", "PENDING")


def test_nobody_ends_what_another_worker_has_sent_since_it_was_claimed(
    flash: Payment, scripted_gateway: ScriptedGateway
) -> None:
    (late,) = recovery.claim(timezone.now())
    assert settlement.payment_mark_sent(payment=Payment.objects.get())
    assert not settlement.payment_settle(payment=late, answer=Answer.UNSENT)
    assert states() == ("PENDING", "", "PENDING")


def test_a_process_that_wakes_up_late_does_not_unmark_what_another_has_sent(
    flash: Payment, scripted_gateway: ScriptedGateway
) -> None:
    (late,) = recovery.claim(timezone.now())
    assert settlement.payment_mark_sent(payment=late)
    recovery.claim(timezone.now() + timedelta(seconds=61))
    settlement.payment_mark_unsent(payment=late)
    assert Payment.objects.get().sent_at is not None


def test_a_permit_is_returned_if_nothing_is_sent_with_it(
    flash: Payment, scripted_gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[str] = []

    def broken(**_: object) -> bool:
        raise RuntimeError("no database")

    monkeypatch.setattr(
        recovery, "payment_release", lambda *, permit: released.append(permit.holder)
    )
    for mark in (broken, lambda **_: False):
        monkeypatch.setattr(recovery, "payment_mark_sent", mark)
        pass_time(0)
        recovery.settle_due()
    assert released == [flash.key] * 2
    assert scripted_gateway.charged == []


def test_a_first_charge_that_is_rejected_was_certainly_not_made(
    flash: Payment, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [Answer.REJECTED]
    recovery.settle_due()
    assert states() == ("FAILED", "rejected", "FAILED")


def test_the_database_refuses_to_call_unsent_what_was_sent(flash: Payment) -> None:
    with pytest.raises(IntegrityError):
        Payment.objects.update(status="FAILED", failure_reason="unsent", sent_at=timezone.now())


def test_a_charge_is_counted_as_sent_if_any_try_may_have_been(
    scripted_gateway: ScriptedGateway, flash: Payment, settings: Settings
) -> None:
    settings.BREAKER_FAIL_MAX = 100
    charge = Charge(flash.key, flash.amount, "EUR", "tok_good", "VT-TEST")
    for tries, sent in (((False, False), False), ((False, True), True), ((True, False), True)):
        scripted_gateway.answers = [NoAnswerError(maybe_sent=maybe) for maybe in tries]
        with pytest.raises(NoAnswerError) as failed:
            services.payment_charge(charge=charge, permit=breaker.Permit("x", probe=False))
        assert failed.value.maybe_sent is sent


def test_a_charge_rejected_after_a_try_that_never_connected_has_failed(
    scripted_gateway: ScriptedGateway, flash: Payment
) -> None:
    scripted_gateway.answers = [never_sent(), Answer.REJECTED]
    recovery.settle_due()
    assert states() == ("FAILED", "rejected", "FAILED")
    assert len(scripted_gateway.charged) == 2


def test_payments_from_before_the_mark_count_as_sent(flash: Payment) -> None:
    names = [module.name for module in pkgutil.iter_modules(migrations.__path__)]
    (name,) = [name for name in names if name.endswith("_sent_at")]
    import_module(f"orders.migrations.{name}").count_as_sent(apps, None)
    assert Payment.objects.get().sent_at == flash.created_at

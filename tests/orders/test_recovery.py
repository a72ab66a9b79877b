from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone

from cart.models import CartItem
from orders import recovery, settlement
from orders.models import (
    PAYMENT_TRANSITIONS,
    SALE_TRANSITIONS,
    Payment,
    Sale,
    new_payment_key,
)
from orders.recovery import claim, settle_payments
from orders.reservation import reserve
from payments import breaker
from payments.gateway import Answer, NoAnswerError
from products.models import Product
from retail import jobs
from retail.observability.context import current_request_id, request_context
from tests.support import ScriptedGateway, ledger, moved, order_for, send_emails

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def abandoned(buyer: User, lamp: Product) -> Payment:
    """Return the payment of an order whose process died between reserve and settle."""
    sale, payment = reserve(order_for(buyer, lamp, 2), new_payment_key())
    assert sale.status == "PENDING"
    return payment


def age(payment: Payment, seconds: float) -> None:
    then = timezone.now() - timedelta(seconds=seconds)
    Payment.objects.filter(pk=payment.pk).update(created_at=then, sent_at=then, due_at=then)


def states(payment: Payment) -> tuple[str, str, str]:
    current = Payment.objects.select_related("sale").get(pk=payment.pk)
    return current.status, current.failure_reason, current.sale.status


def test_an_abandoned_payment_is_left_to_its_request_at_first(
    abandoned: Payment, scripted_gateway: ScriptedGateway
) -> None:
    assert settle_payments() == 0
    assert scripted_gateway.charged == []
    assert states(abandoned) == ("PENDING", "", "PENDING")


def test_within_two_minutes_it_is_charged_again_under_the_same_key(
    abandoned: Payment, scripted_gateway: ScriptedGateway, lamp: Product
) -> None:
    age(abandoned, 31)
    with moved() as changes:
        assert settle_payments() == 1
    assert [charge.key for charge in scripted_gateway.charged] == [abandoned.key]
    assert scripted_gateway.cancelled == []
    assert states(abandoned) == ("COMPLETED", "", "CONFIRMED")
    assert ledger(lamp) == [(-2, "sale", abandoned.sale.reference)]
    assert changes['retail_orders_total{outcome="confirmed"}'] == 1
    assert changes['retail_payments_total{outcome="completed"}'] == 1


@pytest.mark.parametrize(
    ("answer", "expected", "stock", "outcome"),
    [
        (Answer.CANCELLED, ("FAILED", "cancelled", "CANCELLED"), 5, "cancelled"),
        (Answer.DECLINED, ("FAILED", "declined", "FAILED"), 5, "payment_declined"),
        (Answer.APPROVED, ("COMPLETED", "", "CONFIRMED"), 3, "confirmed"),
    ],
)
def test_after_two_minutes_its_key_is_cancelled_and_the_answer_settles_it(
    abandoned: Payment,
    scripted_gateway: ScriptedGateway,
    lamp: Product,
    buyer: User,
    answer: Answer,
    expected: tuple[str, str, str],
    stock: int,
    outcome: str,
) -> None:
    age(abandoned, 121)
    scripted_gateway.cancels = [answer]
    with moved() as changes:
        assert settle_payments() == 1
    assert scripted_gateway.charged == []
    assert scripted_gateway.cancelled == [abandoned.key]
    assert states(abandoned) == expected
    assert Product.objects.get(pk=lamp.pk).stock == stock
    assert sum(quantity for quantity, _, _ in ledger(lamp)) == stock - 5
    in_cart = list(CartItem.objects.filter(cart__user=buyer).values_list("quantity", flat=True))
    assert in_cart == ([2] if stock == 5 else [])
    assert changes[f'retail_orders_total{{outcome="{outcome}"}}'] == 1


def test_a_payment_without_an_answer_stays_unknown(
    abandoned: Payment, scripted_gateway: ScriptedGateway, lamp: Product
) -> None:
    scripted_gateway.answers = scripted_gateway.cancels = [NoAnswerError()]
    for seconds in (31, 121, 3600):
        age(abandoned, seconds)
        assert settle_payments() == 1
        assert states(abandoned) == ("UNKNOWN", "", "PENDING")
    assert ledger(lamp) == [(-2, "sale", abandoned.sale.reference)]
    scripted_gateway.cancels = [Answer.APPROVED]
    age(abandoned, 3600)
    settle_payments()
    assert states(abandoned) == ("COMPLETED", "", "CONFIRMED")


def test_a_rejection_is_not_final_if_the_charge_may_have_been_sent_before(
    abandoned: Payment, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [Answer.REJECTED]
    age(abandoned, 31)
    settle_payments()
    assert states(abandoned) == ("UNKNOWN", "", "PENDING")


def test_an_overdue_pending_payment_counts_as_unknown(
    abandoned: Payment, scripted_gateway: ScriptedGateway
) -> None:
    unknown = "retail_payments_unknown"
    with moved() as changes:
        pass
    assert unknown not in changes
    with moved() as changes:
        age(abandoned, 31)
    assert changes[unknown] == 1


def test_becoming_unknown_is_counted_once(
    abandoned: Payment, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [NoAnswerError()]
    with moved() as changes:
        for _ in range(2):
            age(abandoned, 31)
            settle_payments()
    assert changes['retail_orders_total{outcome="payment_unknown"}'] == 1
    assert 'retail_payments_total{outcome="failed"}' not in changes


def test_an_open_breaker_postpones_it_without_a_call(
    abandoned: Payment, scripted_gateway: ScriptedGateway
) -> None:
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    age(abandoned, 31)
    before = timezone.now()
    assert settle_payments() == 1
    assert scripted_gateway.charged == []
    assert states(abandoned) == ("PENDING", "", "PENDING")
    assert before < Payment.objects.get().due_at <= timezone.now() + timedelta(seconds=3600)


def test_a_claimed_payment_is_not_claimed_again_until_its_lease_ends(abandoned: Payment) -> None:
    age(abandoned, 31)
    now = timezone.now()
    assert [payment.pk for payment in claim(now)] == [abandoned.pk]
    assert claim(now) == []
    assert claim(now + timedelta(seconds=59)) == []
    assert [payment.pk for payment in claim(now + timedelta(seconds=60))] == [abandoned.pk]


def test_payments_are_finished_concurrently_and_one_error_does_not_stop_the_others(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = [reserve(order_for(buyer, lamp), new_payment_key())[1] for _ in range(5)]
    for payment in payments:
        age(payment, 31)
    real = settlement.charge

    def charge(payment: Payment, permit: breaker.Permit, **options: bool) -> None:
        if payment.pk == payments[0].pk:
            raise RuntimeError("broken")
        real(payment, permit, **options)

    monkeypatch.setattr(recovery, "charge", charge)
    assert settle_payments() == 5
    assert [states(payment)[0] for payment in payments] == ["PENDING"] + ["COMPLETED"] * 4
    assert len({charge.key for charge in scripted_gateway.charged}) == 4


def test_settling_a_second_time_changes_nothing(abandoned: Payment, lamp: Product) -> None:
    assert settlement.payment_settle(payment=abandoned, answer=Answer.APPROVED)
    with moved() as changes:
        for answer in Answer:
            assert not settlement.payment_settle(payment=abandoned, answer=answer)
        assert not settlement.payment_mark_unknown(payment=abandoned)
    assert changes == {}
    assert states(abandoned) == ("COMPLETED", "", "CONFIRMED")
    assert Product.objects.get(pk=lamp.pk).stock == 3


def test_the_workers_poller_finishes_due_payments_without_the_queue(
    abandoned: Payment, scripted_gateway: ScriptedGateway
) -> None:
    assert recovery.settle_due in jobs.pollers
    assert recovery.settle_due() == 0
    age(abandoned, 31)
    assert recovery.settle_due() == 1
    assert states(abandoned) == ("COMPLETED", "", "CONFIRMED")
    assert len(scripted_gateway.charged) == 1
    assert recovery.settle_due() == 0


def test_final_states_have_no_transitions() -> None:
    assert {state for state, targets in SALE_TRANSITIONS.items() if not targets} == {
        Sale.Status.CONFIRMED,
        Sale.Status.FAILED,
        Sale.Status.CANCELLED,
    }
    assert {state for state, targets in PAYMENT_TRANSITIONS.items() if not targets} == {
        Payment.Status.COMPLETED,
        Payment.Status.FAILED,
    }
    assert set(SALE_TRANSITIONS) == set(Sale.Status)
    assert set(PAYMENT_TRANSITIONS) == set(Payment.Status)


def test_the_confirmation_is_sent_once(abandoned: Payment) -> None:
    settlement.payment_settle(payment=abandoned, answer=Answer.APPROVED)
    assert (send_emails(), send_emails()) == (1, 0)
    [message] = mail.outbox
    assert message.to == ["buyer@example.com"]
    assert message.subject == f"Your order {abandoned.sale.reference} at Vitrine"
    assert "2 x Lamp: €20.00" in message.body
    assert "Total: €20.00" in message.body


def test_claiming_defers_only_the_unfinished_payments_that_are_due(
    buyer: User, lamp: Product
) -> None:
    due, settled, young = (reserve(order_for(buyer, lamp), new_payment_key())[1] for _ in range(3))
    settlement.payment_settle(payment=settled, answer=Answer.APPROVED)
    for payment in (due, settled):
        age(payment, 31)
    before = dict(Payment.objects.values_list("pk", "due_at"))
    now = timezone.now()
    assert [payment.pk for payment in claim(now)] == [due.pk]
    assert dict(Payment.objects.values_list("pk", "due_at")) == {
        **before,
        due.pk: now + timedelta(seconds=60),
    }
    assert young.pk in before


def test_a_payment_settled_elsewhere_is_read_again_with_its_order(abandoned: Payment) -> None:
    stale = [Payment.objects.select_related("sale").get(pk=abandoned.pk) for _ in range(2)]
    assert settlement.payment_settle(payment=abandoned, answer=Answer.APPROVED)
    assert not settlement.payment_settle(payment=stale[0], answer=Answer.DECLINED)
    assert not settlement.payment_mark_unknown(payment=stale[1])
    for payment in stale:
        assert (payment.status, payment.failure_reason) == ("COMPLETED", "")
        assert (payment.settled_at, payment.sale.status) == (abandoned.settled_at, "CONFIRMED")


def test_a_settled_order_is_in_memory_as_in_the_database(abandoned: Payment) -> None:
    assert settlement.payment_settle(payment=abandoned, answer=Answer.APPROVED)
    stored = Payment.objects.select_related("sale").get()
    assert stored.settled_at is not None
    assert stored.settled_at == stored.sale.finished_at
    assert (abandoned.settled_at, abandoned.sale.finished_at) == (stored.settled_at,) * 2


def test_a_settlement_that_breaks_half_way_settles_nothing(
    abandoned: Payment, lamp: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("the last step fails")

    monkeypatch.setattr(settlement, "stock_release", broken)
    with moved() as changes, pytest.raises(RuntimeError, match="the last step fails"):
        settlement.payment_settle(payment=abandoned, answer=Answer.DECLINED)
    assert changes == {}
    assert states(abandoned) == ("PENDING", "", "PENDING")
    assert not CartItem.objects.exists()


def test_a_payment_is_finished_under_the_request_id_of_its_checkout(
    abandoned: Payment, scripted_gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def charge(payment: Payment, permit: breaker.Permit, **options: bool) -> None:
        seen.append(current_request_id())

    monkeypatch.setattr(recovery, "charge", charge)
    Payment.objects.update(created_at=timezone.now())
    with request_context("of-the-worker"):
        recovery.finish(Payment.objects.get())
        Sale.objects.update(request_id="of-the-checkout")
        recovery.finish(Payment.objects.get())
    assert seen == ["of-the-worker", "of-the-checkout"]

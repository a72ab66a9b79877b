"""Any history of returns, refunds, failures, disputes and cancellations keeps the books right."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from django.core.cache import cache
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from orders.fulfilment import NotDispatchableError, sale_dispatch
from orders.models import Payment, Sale
from orders.services import sale_checkout
from payments.refunds import RefundStatus
from products.models import HeldStock, Product, StockMovement
from products.services import stock_put_held
from returns import changes, refunding
from returns.errors import RefundProblemError, ReturnProblemError
from returns.models import Refund, Return
from returns.refunds import (
    refund_paid_otherwise,
    refund_request,
    refund_resolve,
    refund_retry,
)
from returns.selectors import unsettled
from returns.services import (
    Inspected,
    order_cancel,
    return_approve,
    return_receive,
    return_refund,
    return_reject,
    return_request,
    returns_expire,
)
from tests.returns.conftest import due
from tests.returns.gateway import FakeGateway
from tests.support import ScriptedGateway, make_buyer, make_product, order_for, unbalanced_products

if TYPE_CHECKING:
    from payments.selectors import GatewayRefund

REFUSALS = (ReturnProblemError, RefundProblemError)
NOT_PAID = ("FAILED", "CANCELLED")
UNITS = st.integers(0, 4)
BEHAVIOURS = st.sampled_from(
    [
        *("succeeds", "pending", "fails", "cancelled", "answer lost", "no answer"),
        *("not connected", "disputed", "exceeds"),
    ]
)


class Machine(RuleBasedStateMachine):
    """Drives one order of two products, its returns and its refunds."""

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.patched = pytest.MonkeyPatch()
        self.bank = FakeGateway()
        self.patched.setattr(refunding, "refund_send", self.bank.send)
        self.patched.setattr(refunding, "gateway_refunds_of", self.bank.refunds_of)
        self.patched.setattr(changes, "gateway_changes", self.bank.changes_after)
        self.patched.setattr(changes, "PAUSE_SECONDS", 0)
        self.patched.setattr("payments.gateway.charge", ScriptedGateway().charge)

    def teardown(self) -> None:
        self.patched.undo()
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)

    @initialize(
        prices=st.tuples(st.integers(1, 5000), st.integers(1, 5000)), units=st.integers(1, 4)
    )
    def buy(self, prices: tuple[int, int], units: int) -> None:
        cache.clear()  # the throttle's counts: examples have the same user ids
        user = make_buyer(uuid.uuid4().hex[:8])
        self.products = [
            make_product("Pen", str(Decimal(price) / 100), 10, image="x") for price in prices
        ]
        order_for(user, self.products[0], units)
        self.sale = sale_checkout(order=order_for(user, self.products[1], units + 1))
        self.sold = {line.pk: line.quantity for line in self.sale.items.all()}
        self.payment = Payment.objects.get(sale=self.sale)

    def _return(self, *status: str) -> Return | None:
        return Return.objects.filter(sale=self.sale, status__in=status).order_by("pk").first()

    @rule()
    def dispatch(self) -> None:
        if self.sale.cancelled_at is None:
            with suppress(NotDispatchableError):
                sale_dispatch(reference=self.sale.reference, user_id=self.sale.user_id)

    @rule()
    def cancel(self) -> None:
        with suppress(*REFUSALS):
            order_cancel(sale=self.sale, user_id=None)

    @rule(units=st.tuples(UNITS, UNITS))
    def ask_to_return(self, units: tuple[int, int]) -> None:
        wanted = dict(zip(self.sold, units, strict=True))
        sale = Sale.objects.get(pk=self.sale.pk)
        with suppress(*REFUSALS):
            return_request(sale=sale, units=wanted, reason="other", form_key=uuid.uuid4())

    @rule(units=st.tuples(UNITS, UNITS), reject=st.booleans())
    def decide(self, units: tuple[int, int], *, reject: bool) -> None:
        if of_return := self._return("requested"):
            items = of_return.items.order_by("pk")
            approved = {item.pk: count for item, count in zip(items, units, strict=False)}
            with suppress(*REFUSALS):
                if reject:
                    return_reject(of_return=of_return, answer="No")
                return_approve(of_return=of_return, units=approved, answer="Some")

    @rule(found=st.tuples(*[st.builds(Inspected, *[st.integers(0, 2)] * 3)] * 2))
    def receive(self, found: tuple[Inspected, Inspected]) -> None:
        if of_return := self._return("approved"):
            items = of_return.items.order_by("pk")
            inspected = {item.pk: units for item, units in zip(items, found, strict=False)}
            with suppress(*REFUSALS):
                return_receive(of_return=of_return, inspected=inspected)

    @rule(less=st.sampled_from(["0.00", "0.01", "5.00"]))
    def refund(self, less: str) -> None:
        if of_return := self._return("received"):
            worth = sum((item.value for item in of_return.items.all()), Decimal(0))
            amount = max(worth - Decimal(less), Decimal(0))
            with suppress(*REFUSALS):
                return_refund(of_return=of_return, amount=amount, user_id=None, message="Less")

    @rule(cents=st.integers(1, 3000))
    def goodwill(self, cents: int) -> None:
        with suppress(*REFUSALS):
            refund_request(payment=self.payment, amount=Decimal(cents) / 100, reason="goodwill")

    @rule(behaviour=BEHAVIOURS, reads=st.booleans())
    def work(self, behaviour: str, *, reads: bool) -> None:
        """Let the worker settle what is due; without its list, the gateway has to be asked."""
        self.bank.behaviour = behaviour
        due()
        for refund in refunding.claim(timezone.now()):
            refunding._finish_or_log(refund)
        if reads:
            changes.follow()

    @rule(status=st.sampled_from(list(RefundStatus)), number=st.integers(0, 9))
    def bank_decides(self, status: RefundStatus, number: int) -> None:
        moves = {"pending": {"succeeded", "failed", "cancelled"}, "succeeded": {"failed"}}
        rows = [row for row in self.bank.rows if status in moves.get(row.status, ())]
        if rows:
            self.bank.set(rows[number % len(rows)], status)

    @rule(kind=st.sampled_from(["opened", "closed"]))
    def dispute(self, kind: str) -> None:
        self.bank.dispute(self.payment.key, kind)

    @rule(hours=st.sampled_from([0.3, 23.5]))
    def time_passes(self, hours: float) -> None:
        """Let refunds become old; after a day the gateway has forgotten their keys."""
        past = timedelta(hours=hours)
        for row in Refund.objects.exclude(first_sent_at=None):
            sent_at = row.first_sent_at
            assert sent_at is not None
            Refund.objects.filter(pk=row.pk).update(first_sent_at=sent_at - past)
        if hours > 23:
            self.bank.forget_keys()
            Return.objects.filter(status="approved").update(
                decided_at=timezone.now() - timedelta(days=31)
            )
            returns_expire()

    @rule(cents=st.integers(1, 3000))
    def the_answer_is_lost_and_a_day_passes(self, cents: int) -> None:
        """Make it likely that a key would be sent again too late."""
        self.goodwill(cents)
        self.work("answer lost", reads=False)
        self.time_passes(23.5)

    @rule(otherwise=st.booleans())
    def person_decides(self, *, otherwise: bool) -> None:
        """Let staff look at the gateway's page, and do what is true."""
        for refund in Refund.objects.filter(status="NEEDS_HUMAN"):
            rows = [row for row in self.bank.rows if row.reference == refund.reference]
            if not any(row.status == RefundStatus.PENDING for row in rows):
                paid = any(row.status == RefundStatus.SUCCEEDED for row in rows)
                refund_resolve(refund=refund, paid=paid)
        for refund in unsettled().filter(status__in=NOT_PAID):
            with suppress(*REFUSALS):
                if otherwise:
                    refund_paid_otherwise(refund=refund, user_id=None, message="By transfer")
                else:
                    refund_retry(refund=refund, user_id=None)

    @rule()
    def put_held(self) -> None:
        stock_put_held()

    @invariant()
    def the_limit_is_the_sum_of_what_is_not_given_back(self) -> None:
        if not hasattr(self, "payment"):
            return
        payment = Payment.objects.get(pk=self.payment.pk)
        live = Refund.objects.exclude(status__in=NOT_PAID)
        total = live.aggregate(total=Sum("amount"))["total"] or Decimal(0)
        assert payment.refund_reserved == total
        assert total <= payment.amount
        assert self.bank.paid(payment.key) <= payment.amount

    @invariant()
    def each_refund_is_paid_at_most_once(self) -> None:
        by_reference: dict[str, list[GatewayRefund]] = {}
        for row in self.bank.rows:
            by_reference.setdefault(row.reference, []).append(row)
        assert all(len(rows) == 1 for rows in by_reference.values())

    @invariant()
    def what_is_unsettled_is_owed_or_on_its_way(self) -> None:
        for refund in Refund.objects.all():
            replaced = Refund.objects.filter(replaces=refund).exists()
            if refund.status in NOT_PAID:
                assert (refund.settled_at is not None) == replaced
            else:
                assert (refund.settled_at is not None) == (refund.status == "SUCCEEDED")
                assert not replaced

    @invariant()
    def units_and_stock_agree(self) -> None:
        if not hasattr(self, "sale"):
            return
        assert unbalanced_products() == []
        for line in self.sale.items.all():
            items = [
                item
                for item in line.return_items.select_related("of_return")
                if item.of_return.status not in {"rejected", "expired"}
            ]
            assert sum(item.refundable or 0 for item in items) <= line.quantity
            came = sum(item.sellable for item in items)
            returns = Return.objects.values("reference")
            moved = StockMovement.objects.filter(product=line.product_id, reference__in=returns)
            held = HeldStock.objects.filter(product=line.product_id, reason="return")
            back = (moved.aggregate(n=Sum("quantity"))["n"] or 0) + (
                held.aggregate(n=Sum("quantity"))["n"] or 0
            )
            assert back == came
        assert not Product.objects.filter(stock__lt=0).exists()

    @invariant()
    def a_return_is_never_worth_more_than_was_paid(self) -> None:
        if not hasattr(self, "sale"):
            return
        values = Return.objects.filter(sale=self.sale).aggregate(n=Sum("items__value"))["n"]
        assert (values or 0) <= self.payment.amount


@pytest.mark.django_db
def test_any_history_keeps_the_books_right() -> None:
    run_state_machine_as_test(
        Machine, settings=hypothesis_settings(max_examples=30, stateful_step_count=30)
    )

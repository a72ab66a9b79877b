"""Two workers and the same refunds: each is sent once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from django.db.models import QuerySet
from django.utils import timezone

from orders.models import Payment
from returns import refunding
from returns.models import Refund
from tests.postgres.interleaving import Participant, before_commit, interleave, paused_before
from tests.returns.gateway import FakeGateway
from tests.returns.rows import make_paid, make_refund

if TYPE_CHECKING:
    from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    gateway = FakeGateway()
    monkeypatch.setattr(refunding, "refund_send", gateway.send)
    monkeypatch.setattr(refunding, "gateway_refunds_of", gateway.refunds_of)
    return gateway


@pytest.fixture
def payment(anna: User) -> Payment:
    """Return a payment with eight refunds that are due."""
    paid = make_paid(anna)
    for _ in range(8):
        make_refund(paid)
    Payment.objects.update(refund_reserved=Decimal("80.00"))
    return paid


def claim() -> set[int]:
    return {refund.pk for refund in refunding.claim(timezone.now())}


def test_what_one_worker_claims_the_other_leaves(payment: Payment) -> None:
    result = interleave(before_commit(claim), claim)
    assert (len(result.first), result.second, result.waited) == (8, set(), False)
    assert claim() == set()


def test_what_a_dead_worker_had_claimed_the_other_takes(payment: Payment) -> None:
    result = interleave(before_commit(claim, commits=False), claim)
    assert (len(result.first), result.second) == (8, set())
    assert len(claim()) == 8


def test_without_locks_both_claim_the_same(
    payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
    result = interleave(before_commit(claim), claim)
    assert len(result.first & result.second) == 8


def test_two_workers_send_each_refund_once(payment: Payment, bank: FakeGateway) -> None:
    workers = [Participant(refunding.settle_due) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(worker.result for worker in workers) == 8
    keys = Counter(request.key for request in bank.sent)
    assert keys == dict.fromkeys(Refund.objects.values_list("key", flat=True), 1)
    assert set(Refund.objects.values_list("status", flat=True)) == {"SUCCEEDED"}


def let_leases_expire() -> None:
    Refund.objects.update(due_at=timezone.now() - timedelta(seconds=1))


def test_a_worker_whose_lease_has_expired_sends_nothing(
    anna: User, bank: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = make_paid(anna)
    make_refund(payment)
    Payment.objects.update(refund_reserved=Decimal("10.00"))
    stalled = paused_before(monkeypatch, refunding, "_mark_sent", refunding.settle_due)

    def other() -> int:
        let_leases_expire()
        return refunding.settle_due()

    result = interleave(stalled, other)
    assert (result.first, result.second, result.waited) == (1, 1, False)
    assert [request.key for request in bank.sent] == [Refund.objects.get().key]
    assert (Refund.objects.get().status, Refund.objects.get().attempts) == ("SUCCEEDED", 1)

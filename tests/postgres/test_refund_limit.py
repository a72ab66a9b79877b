"""A hundred refunds of one payment at once, from several processes, and what guards its limit."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.db.models import Sum

from orders.models import Payment
from returns.models import Refund
from tests.postgres.processes import run_together
from tests.returns.rows import make_paid

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator
    from pathlib import Path

    from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db(transaction=True)

PROCESSES = 2  # of fifty threads each
AMOUNT = "3.33"  # of 100.00, which thirty fit into


def refunds_at_once(folder: Path, user: User, guard: str) -> Counter[str]:
    """Let a hundred threads refund the same payment; return the counts of outcomes."""
    payment = make_paid(user, "100.00")
    options = json.dumps({"payment": payment.pk, "amount": AMOUNT, "guard": guard})
    command = ["tests.postgres.refunders", options]
    return run_together(folder, [command] * PROCESSES)


def refunded() -> Decimal:
    return Refund.objects.aggregate(total=Sum("amount"))["total"] or Decimal(0)


def test_as_many_refunds_succeed_as_fit(tmp_path: Path, anna: User) -> None:
    outcomes = refunds_at_once(tmp_path, anna, "all")
    assert outcomes == {"refunded": 30, "RefundProblemError": 70}
    assert refunded() == Payment.objects.get().refund_reserved == Decimal("99.90")


def test_the_condition_alone_keeps_the_limit(tmp_path: Path, anna: User) -> None:
    outcomes = refunds_at_once(tmp_path, anna, "no lock")
    assert outcomes == {"refunded": 30, "RefundProblemError": 70}
    assert refunded() == Payment.objects.get().refund_reserved == Decimal("99.90")


def test_without_lock_and_condition_the_constraint_refuses_some(tmp_path: Path, anna: User) -> None:
    outcomes = refunds_at_once(tmp_path, anna, "none")
    assert outcomes["IntegrityError"] > 0
    assert (outcomes["refunded"], refunded()) == (30, Decimal("99.90"))


@pytest.fixture
def without_the_constraint() -> Iterator[None]:
    constraints = [
        constraint
        for constraint in Payment._meta.constraints
        if constraint.name.startswith("payment_refund")
    ]
    assert constraints
    with connection.schema_editor() as editor:
        for constraint in constraints:
            editor.remove_constraint(Payment, constraint)
    yield
    Refund.objects.all().delete()
    Payment.objects.update(refund_reserved=0)
    with connection.schema_editor() as editor:
        for constraint in constraints:
            editor.add_constraint(Payment, constraint)


def test_without_any_of_them_more_is_refunded_than_was_paid(
    tmp_path: Path, anna: User, without_the_constraint: None
) -> None:
    outcomes = refunds_at_once(tmp_path, anna, "none")
    assert outcomes["IntegrityError"] == 0
    assert refunded() > Decimal("100.00")
    assert refunded() == Payment.objects.get().refund_reserved

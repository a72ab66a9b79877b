"""Reads what is unsettled: refunds not paid out, and returns that wait for somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Case, CharField, Count, Min, Value, When
from django.db.models.functions import Lower

from returns.measures import OWED, RETURN_STATES, OpenRefunds, WaitingReturns
from returns.models import ENDED, Refund, Return

if TYPE_CHECKING:
    from collections.abc import Sequence


def state_of(refund: Refund) -> str:
    """Return what became of a refund: its status, or `owed` if it failed and nothing replaces it.

    An unsettled refund is in one of REFUND_STATES (returns/measures.py).
    """
    return OWED if refund.is_owed else refund.status.lower()


def refunds_by_state() -> Sequence[OpenRefunds]:
    """Return the unsettled refunds by their state, as `state_of` returns it."""
    state = Case(
        When(status__in=ENDED, then=Value(OWED)),
        default=Lower("status"),
        output_field=CharField(),
    )
    rows = Refund.objects.filter(settled_at=None).order_by()
    rows_of = rows.annotate(state=state).values_list("state")
    return [
        OpenRefunds(*row)
        for row in rows_of.annotate(Count("pk"), Min("created_at"), Count("replaces"))
    ]


def returns_by_status() -> Sequence[WaitingReturns]:
    """Return the returns that wait for somebody, by their status."""
    rows = Return.objects.filter(status__in=RETURN_STATES).order_by().values_list("status")
    return [WaitingReturns(*row) for row in rows.annotate(Count("pk"), Min("requested_at"))]

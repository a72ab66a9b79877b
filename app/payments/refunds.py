"""Refund charges at the gateway, behind the circuit breaker."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from payments import breaker, metrics, refund_gateway
from payments.breaker import BreakerOpenError
from payments.gateway import NoAnswerError
from payments.refund_gateway import RefundRefusedError, RefundRequest, RefundStatus
from payments.selectors import GatewayRefund
from payments.services import payment_acquire

if TYPE_CHECKING:
    from payments.breaker import Permit

__all__ = [
    "BreakerOpenError",
    "NoAnswerError",
    "RefundRefusedError",
    "RefundRequest",
    "RefundStatus",
    "refund_send",
]


def refund_send(*, request: RefundRequest, attempt: int) -> GatewayRefund:
    """Send a refund once, and return its state at the gateway. The key keeps it one refund.

    Must run outside a transaction. Raises BreakerOpenError if the gateway must not be called,
    RefundRefusedError if it refuses, NoAnswerError if it does not answer: the refund may have been
    made, unless the request was not sent.
    """
    permit = _permit(request.key)
    try:
        refund = _call(request, attempt)
    except RefundRefusedError:
        breaker.report(permit, succeeded=True)  # the gateway answered
        raise
    except NoAnswerError:
        breaker.report(permit, succeeded=False)
        raise
    breaker.report(permit, succeeded=True)
    return refund


def _permit(key: str) -> Permit:
    try:
        return payment_acquire(key=key, is_payment=False)
    except BreakerOpenError:
        metrics.record_refund_short_circuited()
        raise


def _call(request: RefundRequest, attempt: int) -> GatewayRefund:
    """Call the gateway and record the call."""
    started = perf_counter()
    outcome, answer = "error", ""
    try:
        refund = _refund(request)
    except RefundRefusedError as refusal:
        outcome, answer = "refused", refusal.reason
        raise
    except NoAnswerError as error:
        outcome = error.outcome
        raise
    else:
        outcome, answer = "accepted", str(refund.status)
        return refund
    finally:
        seconds = perf_counter() - started
        metrics.record_refund_call(request, attempt, seconds, outcome, answer)


def _refund(request: RefundRequest) -> GatewayRefund:
    """Return the gateway's answer. One about another refund is none."""
    body = refund_gateway.refund(request)
    try:
        refund = GatewayRefund.from_row({**body, "id": 0})
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise NoAnswerError(f"invalid answer: {error!r}") from error
    answered = (refund.key, refund.charge_key, refund.amount, refund.currency)
    if answered != (request.key, request.charge_key, request.amount, request.currency):
        raise NoAnswerError(f"the answer is about another refund: {answered}")
    return refund

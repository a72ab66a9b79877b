"""Charge and cancel at the gateway, behind the circuit breaker."""

from __future__ import annotations

import logging
import random
import time
from time import perf_counter
from typing import TYPE_CHECKING

from django.conf import settings

from payments import breaker, gateway, metrics, provider
from payments.breaker import NAME as BREAKER
from payments.breaker import BreakerOpenError, Permit
from payments.breaker import force as breaker_force
from payments.breaker import unforce as breaker_unforce
from payments.gateway import Answer, Charge, NoAnswerError

if TYPE_CHECKING:
    from payments.models import CircuitBreaker

__all__ = [
    "BREAKER",
    "Answer",
    "BreakerOpenError",
    "Charge",
    "NoAnswerError",
    "Permit",
    "breaker_force",
    "breaker_unforce",
    "longest_charge",
    "payment_acquire",
    "payment_cancel",
    "payment_charge",
    "payment_release",
]

BACKOFF_SECONDS = 0.1  # before the second try; each further pause is twice as long
SPREAD = (0.5, 1.5)  # a pause is multiplied by something in between

# Metric label of each answer. A rejected charge is the shop's fault, not the card's.
_OUTCOMES = {
    Answer.APPROVED: "approved",
    Answer.DECLINED: "declined",
    Answer.CANCELLED: "declined",
    Answer.REJECTED: "error",
}

logger = logging.getLogger("retail.payments")


def payment_acquire(
    *,
    key: str,
    known_row: CircuitBreaker | None = None,
    charged_now: bool = True,
    is_payment: bool = True,
) -> Permit:
    """Acquire the breaker's permit to charge under `key`. Raises BreakerOpenError.

    In production it is also raised if the gateway is a simulator.

    `known_row` is the breaker's row, if the caller has just read it. A payment that the worker
    charges later is not `charged_now`: it does not take the half-open breaker's probe. A refund is
    not `is_payment`: it counts as no payment attempt.
    """
    permit = breaker.acquire(key, known_row, may_probe=charged_now, is_payment=is_payment)
    try:
        provider.refuse_simulator()
    except BaseException:
        breaker.release(permit)
        raise
    return permit


def payment_release(*, permit: Permit) -> None:
    """Return an unused permit."""
    breaker.release(permit)


def _call(charge: Charge, attempt: int) -> Answer:
    """Send the charge once and record the outcome. Raises NoAnswerError."""
    started = perf_counter()
    try:
        answer = gateway.charge(charge)
    except NoAnswerError as error:
        metrics.record_call(error.outcome, perf_counter() - started, charge.key, attempt)
        raise
    outcome = _OUTCOMES[answer]
    metrics.record_call(outcome, perf_counter() - started, charge.key, attempt)
    return answer


def _may_retry(error: NoAnswerError, permit: Permit) -> bool:
    """Whether to retry after `error`, once it is reported to the breaker.

    A probe is never retried, nor is any charge once the breaker has opened.
    """
    safe = settings.GATEWAY_RETRY == "keyed" or not error.maybe_sent
    return safe and not permit.probe and breaker.is_closed()


def longest_charge() -> float:
    """Return how many seconds a charge can take, with its permit: all its tries and pauses."""
    question = 0.0 if settings.STAND_INS else gateway.longest_question()
    tries = settings.GATEWAY_ATTEMPTS
    one_try = settings.GATEWAY_CONNECT_TIMEOUT + settings.GATEWAY_READ_TIMEOUT
    pauses = 2.0 ** min(tries - 1, 100) - 1  # 1 + 2 + 4 + …; beyond that it is for ever anyway
    return float(question + tries * one_try + BACKOFF_SECONDS * max(SPREAD) * pauses)


def payment_charge(*, charge: Charge, permit: Permit) -> Answer:
    """Charge, with retries and backoff if there is no answer. The key keeps it one charge.

    For a gateway without idempotency keys, GATEWAY_RETRY=unsent skips every retry that could charge
    twice. Must run outside a transaction. Raises NoAnswerError if no attempt was answered: the
    charge may have happened, unless no attempt was sent.
    """
    maybe_sent = False
    for attempt in range(1, settings.GATEWAY_ATTEMPTS + 1):
        try:
            answer = _call(charge, attempt)
        except NoAnswerError as error:
            breaker.report(permit, succeeded=False)
            error.maybe_sent = maybe_sent = maybe_sent or error.maybe_sent
            if attempt == settings.GATEWAY_ATTEMPTS or not _may_retry(error, permit):
                raise
            # Ignore the gateway's Retry-After: a buyer is waiting. The worker retries later.
            time.sleep(BACKOFF_SECONDS * 2 ** (attempt - 1) * random.uniform(*SPREAD))  # noqa: S311
        else:
            breaker.report(permit, succeeded=True)
            if answer is Answer.REJECTED and maybe_sent:
                raise NoAnswerError("rejected, but an earlier attempt may have been charged")
            return answer
    raise AssertionError("unreachable: the last attempt returns or raises")


def payment_cancel(*, key: str) -> Answer:
    """Cancel `key` at the gateway for good, or return the outcome if it was used.

    Raises BreakerOpenError if the gateway must not be called, NoAnswerError if it does not answer.
    """
    permit = payment_acquire(key=key)  # a simulator knows nothing of a provider's charges
    try:
        answer = gateway.cancel(key)
    except NoAnswerError:
        breaker.report(permit, succeeded=False)
        raise
    breaker.report(permit, succeeded=True)
    logger.info("event=payment.cancel", extra={"payment_key": key, "answer": str(answer)})
    return answer

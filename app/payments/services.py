"""Charging and cancelling at the gateway, behind the circuit breaker."""

from __future__ import annotations

import logging
import random
import time
from time import perf_counter
from typing import TYPE_CHECKING

from django.conf import settings

from payments import breaker, gateway, metrics
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

# How an answer is counted. A rejected charge is our mistake, not the card's.
_OUTCOMES = {
    Answer.APPROVED: "approved",
    Answer.DECLINED: "declined",
    Answer.CANCELLED: "declined",
    Answer.REJECTED: "error",
}

logger = logging.getLogger("retail.payments")


def payment_acquire(*, key: str, seen: CircuitBreaker | None = None) -> Permit:
    """Ask the breaker for leave to charge under `key`. Raises BreakerOpenError.

    `seen` is the breaker as the caller has just read it.
    """
    return breaker.acquire(key, seen)


def payment_release(*, permit: Permit) -> None:
    """Give back leave that was not used."""
    breaker.release(permit)


def _call(charge: Charge, attempt: int) -> Answer:
    """Send the charge once and note how it went. Raises NoAnswerError."""
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
    """Whether to try again after `error`, which the breaker has been told.

    A probe has one try; and there is no point in trying against a breaker just opened.
    """
    safe = settings.GATEWAY_RETRY == "keyed" or not error.maybe_sent
    return safe and not permit.probe and breaker.is_closed()


def longest_charge() -> float:
    """Return how many seconds `payment_charge` can take: all its tries and pauses."""
    tries = settings.GATEWAY_ATTEMPTS
    one_try = settings.GATEWAY_CONNECT_TIMEOUT + settings.GATEWAY_READ_TIMEOUT
    pauses = 2.0 ** min(tries - 1, 100) - 1  # 1 + 2 + 4 + …; beyond that it is for ever anyway
    return float(tries * one_try + BACKOFF_SECONDS * max(SPREAD) * pauses)


def payment_charge(*, charge: Charge, permit: Permit) -> Answer:
    """Charge, trying again a little later where there was no answer; the key keeps it one charge.

    For a gateway whose keys do not, GATEWAY_RETRY=unsent leaves out every second try that could
    charge twice. Must run with no transaction open. Raises NoAnswerError when no try was answered:
    the charge may have happened.
    """
    for attempt in range(1, settings.GATEWAY_ATTEMPTS + 1):
        try:
            answer = _call(charge, attempt)
        except NoAnswerError as error:
            breaker.report(permit, succeeded=False)
            if attempt == settings.GATEWAY_ATTEMPTS or not _may_retry(error, permit):
                raise
            # The gateway's Retry-After is not waited for: a buyer is. The worker comes back later.
            time.sleep(BACKOFF_SECONDS * 2 ** (attempt - 1) * random.uniform(*SPREAD))  # noqa: S311
        else:
            breaker.report(permit, succeeded=True)
            if answer is Answer.REJECTED and attempt > 1:
                raise NoAnswerError("rejected now, but an earlier try may have been taken")
            return answer
    raise AssertionError("unreachable: the last attempt returns or raises")


def payment_cancel(*, key: str) -> Answer:
    """Have the gateway refuse `key` for ever, or learn what became of it.

    Raises BreakerOpenError when the gateway is not to be called, NoAnswerError when it says
    nothing.
    """
    permit = breaker.acquire(key)
    try:
        answer = gateway.cancel(key)
    except NoAnswerError:
        breaker.report(permit, succeeded=False)
        raise
    breaker.report(permit, succeeded=True)
    logger.info("event=payment.cancel", extra={"payment_key": key, "answer": str(answer)})
    return answer

"""Whether the gateway is a simulator, through which a shop in production sells nothing.

Each process asks now and then, not for each charge: its answer is remembered.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import NamedTuple

from django.conf import settings

from payments import gateway
from payments.breaker import BreakerOpenError
from payments.gateway import NoAnswerError

ANSWER_HOLDS = 60.0  # seconds
FAILURE_HOLDS = 5.0  # seconds; the charge that follows fails as well, or is a provider's

logger = logging.getLogger("retail.payments")


class SimulatorError(BreakerOpenError):
    """The gateway is a simulator, and this shop is neither in development nor a demo."""


class _Known(NamedTuple):
    url: str
    simulator: bool
    until: float


_known = _Known("", simulator=False, until=0)


def known_simulator() -> bool:
    """Return whether the gateway was a simulator when it was last asked."""
    return not settings.STAND_INS and _known.simulator and _known.url == settings.GATEWAY_URL


def is_simulator() -> bool:
    """Return whether the gateway must not be used because it is a simulator.

    Asks it within `gateway.longest_question` seconds, unless it was asked lately. One that cannot
    be asked counts as none: without a connection nothing is charged, and it is asked again.
    """
    global _known  # noqa: PLW0603 - once per process; a race asks twice
    if settings.STAND_INS:
        return False
    if _known.url == settings.GATEWAY_URL and monotonic() < _known.until:
        return _known.simulator
    url, simulator, holds = settings.GATEWAY_URL, False, ANSWER_HOLDS
    if _known.url == url:  # the other threads go by the last answer meanwhile
        _known = _known._replace(until=monotonic() + gateway.longest_question())
    try:
        simulator = gateway.is_marked()
    except NoAnswerError as error:
        holds = FAILURE_HOLDS if error.maybe_sent else 0
    _known = _Known(url, simulator, monotonic() + holds)
    if simulator:
        logger.error("event=payment.simulator")
    return simulator


def refuse_simulator() -> None:
    """Raise SimulatorError if the gateway must not be used because it is a simulator."""
    if is_simulator():
        raise SimulatorError(round(ANSWER_HOLDS))

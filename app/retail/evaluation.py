"""Evaluate the shop's numbers against their thresholds: one function for each number.

Cards, API, health checks and scenarios show what these return, so they cannot disagree; alert rules
and panels are built from the same thresholds. The share of too few events is not evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from retail import measures
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from retail.measures import Window


class Status(NamedTuple):
    """A state (`good`, `warn`, `bad`, or `calm` if there is nothing to evaluate) and its label."""

    state: str
    word: str

    @property
    def met(self) -> bool | None:
        """Whether the objective is met; None if there is nothing to evaluate."""
        return None if self.state == "calm" else self.state != "bad"


NO_LIMIT = Status("calm", "no limit")
NO_DATA = Status("calm", "no data")
TOO_FEW = Status("calm", "too little data")
NORMAL = Status("good", "normal")


def error_rate(window: Window) -> Status:
    """Evaluate the share of requests answered with 5xx."""
    limits, rate = THRESHOLDS.error_rate, measures.error_rate(window)
    if rate is None:
        return NO_DATA
    if measures.requests(window) < limits.least_requests:
        return TOO_FEW
    if rate > 100 * limits.most_ratio:
        return Status("bad", "too high")
    return Status("warn", "elevated") if rate > 100 * limits.warning_ratio else NORMAL


def payment_success(window: Window) -> Status:
    """Evaluate the share of payments that were completed."""
    limits, share = THRESHOLDS.payment_success, measures.payment_success(window)
    if share is None:
        return NO_DATA
    if measures.payments_counted(window) < limits.least_payments:
        return TOO_FEW
    if share < 100 * limits.least_ratio:
        return Status("bad", "too low")
    return Status("warn", "low") if share < 100 * limits.warning_ratio else NORMAL


def response_time(window: Window) -> Status:
    """Evaluate the 95th percentile of the time to answer a request."""
    limits, p95 = THRESHOLDS.response_time, measures.response_quantile(window, 0.95)
    if p95 is None:
        return NO_DATA
    if measures.requests(window) < THRESHOLDS.error_rate.least_requests:
        return TOO_FEW
    if p95 > 1000 * limits.most_seconds:
        return Status("bad", "too slow")
    return Status("warn", "slow") if p95 > 1000 * limits.warning_seconds else NORMAL


def fast_fail(window: Window) -> Status:
    """Evaluate how fast checkouts fail while the breaker is open. A single slow one counts."""
    time = measures.fast_fail_time(window)
    if time is None:
        return NO_DATA
    return NORMAL if time < 1000 * THRESHOLDS.fast_fail.most_seconds else Status("bad", "too slow")


def flash_payments(in_time: int, due: int) -> Status:
    """Evaluate the share of due flash-sale payments that were settled in time."""
    limits = THRESHOLDS.flash_payments
    if not due:
        return NO_DATA
    if due < THRESHOLDS.payment_success.least_payments:
        return TOO_FEW
    return NORMAL if in_time / due >= limits.least_ratio else Status("bad", "too slow")


def stock_conflicts(window: Window) -> Status:
    """Evaluate the checkouts that a database constraint refused. Without traffic, none prove it."""
    if measures.stock_conflicts(window) > THRESHOLDS.stock_conflicts.most_conflicts:
        return Status("bad", "bug")
    return NORMAL if measures.requests(window) or measures.orders(window) else NO_DATA


def oversold(units: float | None) -> Status:
    """Evaluate the audit's oversold units; None without a recent audit."""
    if units is None:
        return NO_DATA
    return NORMAL if units <= THRESHOLDS.oversold.most_units else Status("bad", "oversold")

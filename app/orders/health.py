"""Health checks of sales: what buyers meet now, unsettled payments, and the gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db.models import Count, QuerySet

from orders.models import Payment
from orders.selectors import of_other_gateways, without_outcome
from payments.models import CircuitBreaker
from payments.services import BREAKER
from retail import evaluation, measures
from retail.health import Finding, Harm, counted, health_check
from retail.history.read import Point, history, time_range
from retail.history.rollups import MINUTE
from retail.measures import Window
from retail.models import AuditCheck
from retail.templatetags.durations import ago, duration
from retail.thresholds import THRESHOLDS, in_words

Points = Mapping[str, Sequence[Point]]
KINDS = ("error_rate", "payment_success_rate")
LEDGER_MAX_AGE = timedelta(seconds=THRESHOLDS.gateway.silent_after_seconds)
ERRORS, PAYMENTS = THRESHOLDS.error_rate, THRESHOLDS.payment_success
LEDGER_INVARIANT = "charge_has_payment"  # its audit reads the gateway's ledger


def _buyers(payments: QuerySet[Payment]) -> str:
    """Return in words how many buyers these payments have."""
    return counted(payments.aggregate(buyers=Count("sale__user", distinct=True))["buyers"], "buyer")


def _latest(points: Points, since: datetime) -> Window:
    """Return the window of the minutes that end after a moment."""
    return Window.of(
        {
            kind: [point for point in row if point.start + MINUTE > since]
            for kind, row in points.items()
        }
    )


def _began(points: Points, kind: str, failing: Callable[[Window], bool]) -> datetime:
    """Return the start of the failing minutes that last until now; others are without events."""
    start = points[kind][-1].start
    for point in reversed(points[kind]):
        if not failing(Window({kind: point})):
            break
        start = point.start
    return start


@health_check("Sales now", Harm.SALES)
def sales(now: datetime) -> Finding:
    """Check the errors and payments of the last minutes, by the thresholds of the alerts."""
    points = history(KINDS, time_range("1h", now))
    requests = _latest(points, now - timedelta(seconds=ERRORS.window_seconds))
    payments = _latest(points, now - timedelta(seconds=PAYMENTS.window_seconds))
    rate, success = evaluation.error_rate(requests), evaluation.payment_success(payments)
    if rate.state == "bad":
        return _errors(points, requests)
    if success.state == "bad":
        return _payments_failing(points, payments)
    detail = (
        f"In the last {in_words(ERRORS.window_seconds)}: "
        f"{measures.errors(requests):,} of "
        f"{counted(measures.requests(requests), 'request')} failed; "
        f"{measures.payments_completed(payments):,} of {measures.payments_counted(payments):,} "
        "payments completed."
    )
    for status in (rate, success):
        if status.state == "warn":
            return Finding("warn", status.word, detail)
    if rate.state == success.state == "calm":
        few = measures.requests(requests)
        return Finding("calm", "too few to evaluate" if few else "no visitors", detail)
    return Finding("good", "normal", detail)


def _errors(points: Points, requests: Window) -> Finding:
    limit = 100 * ERRORS.most_ratio
    since = _began(points, "error_rate", lambda window: (measures.error_rate(window) or 0) > limit)
    failed = measures.errors(_latest(points, since))
    return Finding(
        "bad",
        "requests fail",
        f"{measures.error_rate(requests):.0f} % of the latest requests end with a server error.",
        since=since,
        affected=f"{counted(failed, 'request')} failed",
        step="Take a request id from Latest errors on the dashboard and find its lines in "
        "logs/application.log: the first line at level ERROR has the cause.",
        runbook="RetailErrorRateHigh",
    )


def _payments_failing(points: Points, payments: Window) -> Finding:
    limit = 100 * PAYMENTS.least_ratio
    since = _began(
        points,
        "payment_success_rate",
        lambda window: (measures.payment_success(window) or 0) < limit,
    )
    failed = Payment.objects.filter(settled_at__gte=since, status=Payment.Status.FAILED)
    return Finding(
        "bad",
        "payments fail",
        f"Only {measures.payment_success(payments):.0f} % of the latest payments succeed.",
        since=since,
        affected=f"{_buyers(failed)} could not pay",
        step="Look at the reasons under Payments on the dashboard. If cards are declined, check "
        "the gateway's page: is it declining every card?",
        runbook="RetailPaymentSuccessLow",
    )


_STUCK_STEP = (
    "Check that the worker is running and that the gateway answers. Never guess an outcome."
)
_OTHER_STEP = (
    "GATEWAY_URL was changed too early. Stop web, and run the worker with the earlier GATEWAY_URL "
    "until these payments are settled."
)


def _elsewhere(others: Mapping[str, int]) -> str:
    """Return a sentence about the payments that only other gateways know."""
    if not others:
        return ""
    counts = ", ".join(f"{count:,} at {name}" for name, count in others.items())
    return f" Of these, the shop's gateway cannot know {counts}."


@health_check("Unsettled payments", Harm.BOOKS)
def unsettled(now: datetime) -> Finding:
    """Check that no payment is without an outcome: UNKNOWN, or PENDING beyond its time."""
    rows = measures.open_payments(now)
    unknown = measures.payments_unknown(rows)
    if not unknown:
        return Finding("good", "none", f"{measures.payments_pending(rows):,} in progress.")
    age = timedelta(seconds=measures.payments_unknown_oldest_seconds(rows, now))
    waiting = Payment.objects.filter(without_outcome(now))
    others = of_other_gateways(waiting)
    detail = f"{unknown:,} without an outcome, the oldest for {duration(age)}.{_elsewhere(others)}"
    if age.total_seconds() <= THRESHOLDS.unknown_payments.most_age_seconds:
        return Finding("warn", "unknown", detail)
    return Finding(
        "bad",
        "stuck",
        detail,
        since=now - age,
        affected=f"{_buyers(waiting)} may have been charged",
        step=_OTHER_STEP if others else _STUCK_STEP,
        runbook="RetailPaymentUnknownStuck",
    )


@health_check("Gateway")
def gateway(now: datetime) -> Finding:
    """Check that the gateway responds."""
    row = CircuitBreaker.objects.filter(name=BREAKER).first()
    if row and row.state_now != CircuitBreaker.State.CLOSED and not row.is_forced:
        return Finding(
            "bad",
            "not responding",
            "Too many calls failed, so the breaker is open.",
            since=row.open_since or row.opened_at,
            step="See Circuit breaker.",
        )
    audits = AuditCheck.objects.filter(invariant=LEDGER_INVARIANT)
    read_at = audits.values_list("checked_at", flat=True).first()
    if read_at is None:
        return Finding("calm", "not checked yet", "The worker reads its ledger every minute.")
    if now - read_at > LEDGER_MAX_AGE:
        detail = f"Ledger last read {ago(read_at, now)}. Is the worker running?"
        return Finding("warn", "not checked", detail)
    return Finding("good", "responding", f"Ledger read {ago(read_at, now)}.")

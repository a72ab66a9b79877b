"""Evaluate the scenarios that have evidence in the running shop.

Metric rows come aggregated (retail/history). Queries on the shop's own tables are bounded by an
index or by `NEWEST`, so that a year of orders costs no more than a day.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from django.db.models import Count, F, Max, Q

from orders.models import Payment, Sale
from quality.scenario import Measure
from retail import evaluation, measures
from retail.audit.results import read_audit
from retail.evaluation import TOO_FEW
from retail.health import counted
from retail.jobs import read_queue
from retail.measures import Window
from retail.observability.prometheus import catalogue
from retail.thresholds import THRESHOLDS, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from quality.scenario import Evidence

NEWEST = 5_000  # orders read at most
CONCURRENT = timedelta(seconds=1)  # orders no further apart compete for stock
AUDIT_AGE = in_words(THRESHOLDS.invariants.stale_after_seconds)
KINDS = (
    "stock_conflicts",
    "orders_per_day",
    "payment_success_rate",
    "circuit_breaker_state",
    "throttled_requests",
    "error_rate",
    "avg_response_time",
)


def _percent(part: int, of: int) -> float:
    return 100 * part / of


def _at_least(ratio: float) -> str:
    return f"≥ {100 * ratio:g} %"


def _too_few(least: int) -> str:
    return f"too few to evaluate: at least {least} needed"


def _newest(since: datetime) -> Q:
    """Return a filter for the newest sales of the window: `since` alone could match too many."""
    last = Sale.objects.aggregate(last=Max("pk"))["last"] or 0
    return Q(pk__gt=last - NEWEST, created_at__gte=since)


def flash_sale(evidence: Evidence) -> Sequence[Measure]:
    """A1: nothing is oversold, however many buyers compete for it."""
    window = Window.of(evidence.rows)
    oversold = read_audit()[catalogue.OVERSOLD_UNITS].get(())
    most_conflicts = THRESHOLDS.stock_conflicts.most_conflicts
    most_units = THRESHOLDS.oversold.most_units
    return (
        Measure(
            "Stock conflicts",
            measures.stock_conflicts(window),
            "",
            f"{most_conflicts}",
            evaluation.stock_conflicts(window).met,
        ),
        Measure(
            "Oversold units",
            oversold,
            "",
            f"{most_units}",
            evaluation.oversold(oversold).met,
            "all time, in paid orders" if oversold is not None else f"no audit in {AUDIT_AGE}",
        ),
        _competing(evidence, measures.flash_orders(window)),
    )


def _competing(evidence: Evidence, flash: int) -> Measure:
    """Count the checkouts that could have sold the same unit."""
    concurrent, note = 0, "flash-sale orders"
    if not flash:
        newest = Sale.objects.filter(_newest(evidence.span.since)).order_by("created_at")
        sales = list(newest.values_list("kind", "created_at"))
        flash = sum(kind == Sale.Kind.FLASH for kind, _ in sales)
        concurrent = sum(later - first <= CONCURRENT for (_, first), (_, later) in pairwise(sales))
        note = f"flash-sale orders: {flash}; within a second of another order: {concurrent}"
    count = flash + concurrent
    return Measure("Competing checkouts", count, "", "≥ 1", met=True if count else None, note=note)


def payments(evidence: Evidence) -> Sequence[Measure]:
    """A2: payments succeed, and checkouts fail fast while they cannot."""
    return (_success(evidence), _fast_fail(evidence))


def _success(evidence: Evidence) -> Measure:
    span = evidence.span
    open_payments = [
        row for row in measures.open_payments(evidence.now) if span.since <= row.start < span.until
    ]
    overdue = measures.overdue_between(open_payments, span.since, span.until)
    window = Window.of(evidence.rows, overdue)
    completed, whole = measures.payments_completed(window), measures.payments_counted(window)
    success = measures.payment_success(window)
    least = THRESHOLDS.payment_success.least_ratio
    note = (
        f"{completed:,} of {counted(whole, 'payment')}, {overdue:,} overdue; not counted: "
        f"{measures.payments_pending(open_payments):,} pending, "
        f"{measures.payments_unknown(open_payments) - overdue:,} unknown"
    )
    status = evaluation.payment_success(window)
    if status == TOO_FEW:
        note = f"{_too_few(THRESHOLDS.payment_success.least_payments)}; {note}"
    return Measure("Payments completed", success, "%", _at_least(least), status.met, note)


def _fast_fail(evidence: Evidence) -> Measure:
    window = Window.of(evidence.rows)
    limits = THRESHOLDS.fast_fail
    openings, refused = measures.breaker_openings(window), measures.checkouts_refused(window)
    return Measure(
        f"Fast-fail time, p{100 * limits.least_ratio:g}",
        measures.fast_fail_time(window),
        "ms",
        f"< {1000 * limits.most_seconds:g} ms",
        evaluation.fast_fail(window).met,
        f"{refused:,} checkout{'' if refused == 1 else 's'} refused by the breaker, which opened "
        f"{openings:,} time{'' if openings == 1 else 's'}",
        required=False,
    )


def throttling(evidence: Evidence) -> Sequence[Measure]:
    """P1: clients that send too many requests are throttled, and others are not affected."""
    window = Window.of(evidence.rows)
    throttled = measures.throttled(window)
    scopes = sorted((scope, measures.throttled_in(window, scope)) for scope in _scopes(window))
    during = _while_throttling(evidence)
    errors, p95 = measures.error_rate(during), measures.response_quantile(during, 0.95)
    limits, few = THRESHOLDS.error_rate, evaluation.error_rate(during) == TOO_FEW
    most_errors = 100 * limits.most_ratio
    most_time = 1000 * THRESHOLDS.response_time.most_seconds
    return (
        Measure(
            "Throttled requests",
            throttled,
            "",
            "≥ 1",
            met=True if throttled else None,
            note=", ".join(f"{scope} {count:,}" for scope, count in scopes),
        ),
        Measure(
            "Error rate during throttling",
            errors,
            "%",
            f"≤ {most_errors:g} %",
            evaluation.error_rate(during).met,
            "5xx share, in the steps with throttled requests"
            + (f"; {_too_few(limits.least_requests)}" if few else ""),
        ),
        Measure(
            "Response time during throttling, p95",
            p95,
            "ms",
            f"≤ {most_time:g} ms",
            evaluation.response_time(during).met,
        ),
    )


def _scopes(window: Window) -> Sequence[str]:
    return list(window.aggregate("throttled_requests", "by_scope") or ())


def _while_throttling(evidence: Evidence) -> Window:
    """Return the window of the steps in which requests were throttled."""
    throttled = evidence.rows.get("throttled_requests", ())
    starts = {point.start for point in throttled if point.total}
    return Window.of(
        {
            kind: [point for point in points if point.start in starts]
            for kind, points in evidence.rows.items()
        }
    )


def async_split(evidence: Evidence) -> Sequence[Measure]:
    """P2: flash-sale orders are charged in the background, in time."""
    limit = THRESHOLDS.flash_payments
    most = timedelta(seconds=limit.most_seconds)
    newest = Sale.objects.filter(_newest(evidence.span.since), kind=Sale.Kind.FLASH)
    # Younger payments are not late yet.
    due = Payment.objects.filter(sale__in=newest, created_at__lt=evidence.now - most)
    in_time = Q(settled_at__lte=F("created_at") + most)
    counts = due.aggregate(all=Count("pk"), in_time=Count("pk", filter=in_time))
    flash = evaluation.flash_payments(counts["in_time"], counts["all"])
    least_payments = THRESHOLDS.payment_success.least_payments
    waiting = read_queue()[catalogue.JOBS_OLDEST_WAITING][()]
    most_waiting = THRESHOLDS.queue.most_waiting_seconds
    return (
        Measure(
            f"Flash-sale payments settled within {limit.most_seconds} s",
            _percent(counts["in_time"], counts["all"]) if counts["all"] else None,
            "%",
            _at_least(limit.least_ratio),
            flash.met,
            f"{counts['in_time']:,} of {counts['all']:,}, from the newest {NEWEST:,} orders"
            + (f"; {_too_few(least_payments)}" if flash == TOO_FEW else ""),
        ),
        Measure(
            "Longest wait in the job queue, now",
            waiting,
            "s",
            f"≤ {most_waiting} s",
            waiting <= most_waiting,
        ),
    )

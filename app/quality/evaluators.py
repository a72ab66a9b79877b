"""How the scenarios are judged that a running shop gives evidence of.

Rows by interval come added up (retail/history/read.py); what is asked of the shop's own tables is
bounded by an index or by `NEWEST`, so that a year of orders costs what a day of them does.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from django.db.models import Count, F, Max, Q

from orders.models import Payment, Sale
from orders.selectors import payments_unsettled
from quality.scenario import Measure
from retail.audit.results import read_audit
from retail.history.read import merged, quantile
from retail.jobs import read_queue
from retail.observability.prometheus import catalogue
from retail.thresholds import THRESHOLDS, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from quality.scenario import Evidence
    from retail.history.read import Point

NEWEST = 5_000  # orders that are looked at one by one
AUDIT_AGE = in_words(THRESHOLDS.invariants.stale_after_seconds)
AT_ONCE = timedelta(seconds=1)  # orders no further apart came at the same time
KINDS = (
    "stock_conflicts",
    "orders_per_day",
    "payment_success_rate",
    "circuit_breaker_state",
    "throttled_requests",
    "error_rate",
    "avg_response_time",
)


def _whole(evidence: Evidence, kind: str) -> tuple[int, dict[str, Any]]:
    """Return how many events there were in the window, and their facts."""
    point = merged(evidence.rows.get(kind, ()))
    return (point.count, point.facts) if point else (0, {})


def _percent(part: int, of: int) -> float:
    return 100 * part / of


def _newest(since: datetime) -> Q:
    """Return the condition of the window's newest sales; a bare `since` would look at them all."""
    last = Sale.objects.aggregate(last=Max("pk"))["last"] or 0
    return Q(pk__gt=last - NEWEST, created_at__gte=since)


def flash_sale(evidence: Evidence) -> Sequence[Measure]:
    """A1: nothing is oversold, whatever the crowd."""
    conflicts, _ = _whole(evidence, "stock_conflicts")
    oversold = read_audit()[catalogue.OVERSOLD_UNITS].get(())
    most_conflicts = THRESHOLDS.stock_conflicts.most_conflicts
    most_units = THRESHOLDS.oversold.most_units
    return (
        Measure("Stock conflicts", conflicts, "", f"{most_conflicts}", conflicts <= most_conflicts),
        Measure(
            "Oversold units",
            oversold,
            "",
            f"{most_units}",
            None if oversold is None else oversold <= most_units,
            "by the stock ledger, ever" if oversold is not None else f"not audited for {AUDIT_AGE}",
        ),
        _crowd(evidence),
    )


def _crowd(evidence: Evidence) -> Measure:
    """Measure whether there was anything that could have gone wrong."""
    _, facts = _whole(evidence, "orders_per_day")
    flash = int(facts.get("kinds", {}).get("flash", 0))
    together, note = 0, "of flash sales"
    if not flash:
        rows = Sale.objects.filter(_newest(evidence.span.since)).order_by("created_at")
        seen = list(rows.values_list("kind", "created_at"))
        flash = sum(kind == Sale.Kind.FLASH for kind, _ in seen)
        together = sum(later - first <= AT_ONCE for (_, first), (_, later) in pairwise(seen))
        note = f"{flash} of flash sales, {together} within a second of another"
    count = flash + together
    return Measure(
        "Checkouts that compete", count, "", "at least 1", kept=True if count else None, note=note
    )


def payments(evidence: Evidence) -> Sequence[Measure]:
    """A2: payments succeed, and while they cannot, buyers are told so at once."""
    return (_success(evidence), _fast_fail(evidence))


def _success(evidence: Evidence) -> Measure:
    _, facts = _whole(evidence, "payment_success_rate")
    unsettled = payments_unsettled(now=evidence.now)
    found = [one for one in unsettled if one.start >= evidence.span.since]
    lost = sum(one.overdue for one in found)
    unknown = sum(one.count for one in found if one.status == Payment.Status.UNKNOWN)
    pending = sum(one.count for one in found) - unknown
    completed = int(facts.get("completed", 0))
    settled = completed + int(facts.get("failed", 0)) + lost
    least = THRESHOLDS.payment_success.least_ratio
    note = (
        f"{completed:,} of {settled:,}, without an answer for too long: {lost:,}; not counted: "
        f"{pending:,} pending, {unknown - lost:,} unknown"
    )
    return Measure(
        "Payments completed",
        _percent(completed, settled) if settled else None,
        "%",
        f"≥ {least:.0%}".replace("%", " %"),
        completed / settled >= least if settled else None,
        note,
    )


def _fast_fail(evidence: Evidence) -> Measure:
    _, facts = _whole(evidence, "circuit_breaker_state")
    count = int(facts.get("fast_fails", 0))
    took = quantile(facts["fast_fail_buckets"], 0.99, facts["fast_fail_max_ms"]) if count else None
    most = THRESHOLDS.fast_fail.most_seconds * 1000
    opened = int(facts.get("transitions", {}).get("open", 0))
    return Measure(
        "Fast-fail, 99 of 100",
        took,
        "ms",
        f"< {most:g} ms",
        None if took is None else took < most,
        f"refused by the open breaker: {count:,}; times that it opened: {opened:,}",
        required=False,
    )


def throttling(evidence: Evidence) -> Sequence[Measure]:
    """P1: who asks too often is refused, and the others do not notice."""
    refused, facts = _whole(evidence, "throttled_requests")
    scopes = sorted(facts.get("by_scope", {}).items())
    meanwhile = {point.start for point in evidence.rows.get("throttled_requests", ())}
    errors = _during(evidence, "error_rate", meanwhile)
    times = _during(evidence, "avg_response_time", meanwhile)
    share = _percent(errors.facts["errors"], errors.count) if errors else None
    took = quantile(times.facts["buckets"], 0.95, times.facts["max_ms"]) if times else None
    most_errors = 100 * THRESHOLDS.error_rate.most_ratio
    most_time = 1000 * THRESHOLDS.response_time.most_seconds
    return (
        Measure(
            "Requests refused",
            refused,
            "",
            "at least 1",
            kept=True if refused else None,
            note=", ".join(f"{scope} {count:,}" for scope, count in scopes),
        ),
        Measure(
            "Error rate meanwhile",
            share,
            "%",
            f"≤ {most_errors:g} %",
            None if share is None else share <= most_errors,
            "5xx of all answers at the time of the refusals",
        ),
        Measure(
            "Time to answer meanwhile, 95 of 100",
            took,
            "ms",
            f"≤ {most_time:g} ms",
            None if took is None else took <= most_time,
        ),
    )


def _during(evidence: Evidence, kind: str, starts: set[datetime]) -> Point | None:
    """Return a metric's sum over the steps that begin at these times."""
    return merged(point for point in evidence.rows.get(kind, ()) if point.start in starts)


def async_split(evidence: Evidence) -> Sequence[Measure]:
    """P2: flash orders are paid in the background, and soon."""
    limit = THRESHOLDS.flash_payments
    most = timedelta(seconds=limit.most_seconds)
    newest = Sale.objects.filter(_newest(evidence.span.since), kind=Sale.Kind.FLASH)
    # The younger ones still have their time.
    due = Payment.objects.filter(sale__in=newest, created_at__lt=evidence.now - most)
    in_time = Q(settled_at__lte=F("created_at") + most)
    found = due.aggregate(all=Count("pk"), in_time=Count("pk", filter=in_time))
    waiting = read_queue()[catalogue.JOBS_OLDEST_WAITING][()]
    most_waiting = THRESHOLDS.queue.most_waiting_seconds
    return (
        Measure(
            f"Flash orders paid, or told why not, within {limit.most_seconds} s",
            _percent(found["in_time"], found["all"]) if found["all"] else None,
            "%",
            f"≥ {limit.least_ratio:.0%}".replace("%", " %"),
            found["in_time"] / found["all"] >= limit.least_ratio if found["all"] else None,
            f"{found['in_time']:,} of {found['all']:,}, among the newest {NEWEST:,} orders",
        ),
        Measure(
            "Oldest waiting job, now",
            waiting,
            "s",
            f"≤ {most_waiting} s",
            waiting <= most_waiting,
        ),
    )

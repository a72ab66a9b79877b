"""Orders, payments and metric rows at known times, and the scenarios' evaluations of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.utils import timezone

from orders.models import Payment, Sale
from quality.selectors import evaluations
from retail.audit.declare import OVERSOLD
from retail.audit.runner import audit
from retail.models import Metric
from tests.support import make_buyer

if TYPE_CHECKING:
    from quality.scenario import Evaluation, Measure

NOON = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def ago(minutes: float) -> datetime:
    """Return the time so many minutes before noon."""
    return NOON - minutes * MINUTE


def order(
    minutes: float = 60,
    *,
    kind: str = "cart",
    status: str = "COMPLETED",
    settled_after: timedelta | None = MINUTE / 60,
) -> Payment:
    """Create an order and its payment, so many minutes before noon."""
    done = {"COMPLETED": "CONFIRMED", "FAILED": "FAILED"}.get(status, "PENDING")
    at = ago(minutes)
    settled = at + settled_after if settled_after is not None and done != "PENDING" else None
    user = User.objects.first() or make_buyer()
    number = Sale.objects.count()
    sale = Sale.objects.create(
        user=user,
        kind=kind,
        status=done,
        total="10.00",
        currency="EUR",
        idempotency_key=f"00000000-0000-0000-0000-{number:012}",
        created_at=at,
        finished_at=settled,
    )
    return Payment.objects.create(
        sale=sale,
        token="tok_good",
        amount="10.00",
        currency="EUR",
        status=status,
        failure_reason="declined" if status == "FAILED" else "",
        created_at=at,
        settled_at=settled,
        due_at=at,
    )


def orders(count: int, minutes: float = 60, **fields: Any) -> None:
    """Create orders ten seconds apart."""
    for number in range(count):
        order(minutes + number / 6, **fields)


def row(kind: str, minutes: float, value: float = 1, **metadata: Any) -> None:
    """Create a metric row."""
    Metric.objects.create(metric_type=kind, value=value, metadata=metadata, timestamp=ago(minutes))


def fast_fails(minutes: float, **buckets: int) -> None:
    """Create a row of fast fails; `le100=3` puts three into the bucket up to 100 ms."""
    bounds = ("1", "2.5", "5", "10", "25", "50", "75", "100", "150", "250", "500", "1000", "more")
    counts = [buckets.get(f"le{bound}", 0) for bound in bounds]
    row(
        "circuit_breaker_state",
        minutes,
        2,
        breaker="payments",
        state="OPEN",
        count=sum(counts),
        fast_fails=sum(counts),
        fast_fail_buckets=counts,
        fast_fail_max_ms=2000,
    )


def answered(minutes: float, *, count: int, errors: int, le1000: int) -> None:
    """Create the rows of an interval's requests, in the buckets up to 1 s and up to 2.5 s."""
    row("error_rate", minutes, 100 * errors / count, count=count, errors=errors, client_errors=0)
    buckets = [0, 0, 0, 0, 0, 0, 0, le1000, count - le1000, 0, 0, 0]
    row("avg_response_time", minutes, 700, count=count, buckets=buckets, max_ms=2500)


def audited() -> None:
    """Audit the ledger. Audits use the real time."""
    audit([OVERSOLD])


def evaluated(scenario_id: str, days: int = 1) -> Evaluation:
    """Evaluate a scenario at noon."""
    by_id = {scenario.id: result for scenario, result in evaluations(days, NOON).items()}
    return by_id[scenario_id]


def numbers(evaluation: Evaluation) -> dict[str, tuple[float | None, bool | None]]:
    """Return an evaluation's measures: value, and whether the objective is met."""
    return {measure.name: (measure.value, measure.met) for measure in evaluation.measures}


def measure(evaluation: Evaluation, name: str) -> Measure:
    """Return the measure whose name starts with `name`."""
    (match,) = [measure for measure in evaluation.measures if measure.name.startswith(name)]
    return match


def really_now() -> datetime:
    """Return the real time, which audits and queues use."""
    return timezone.now()

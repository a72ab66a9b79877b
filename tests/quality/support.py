"""Orders, payments and rows of known times, and the verdicts on them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.utils import timezone

from orders.models import Payment, Sale
from quality.selectors import judged
from retail.audit.declare import OVERSOLD
from retail.audit.runner import audit
from retail.models import Metric
from tests.support import make_buyer

if TYPE_CHECKING:
    from quality.scenario import Evaluation, Measure

NOON = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def ago(minutes: float) -> datetime:
    """Return so many minutes before noon."""
    return NOON - minutes * MINUTE


def order(
    minutes: float = 60,
    *,
    kind: str = "cart",
    status: str = "COMPLETED",
    settled_after: timedelta | None = MINUTE / 60,
) -> Payment:
    """Make an order of so many minutes before noon, and its payment."""
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


def orders(count: int, minutes: float = 60, **facts: Any) -> None:
    """Make orders that are ten seconds apart."""
    for number in range(count):
        order(minutes + number / 6, **facts)


def row(kind: str, minutes: float, value: float = 1, **metadata: Any) -> None:
    """Keep a row of the Metric table."""
    Metric.objects.create(metric_type=kind, value=value, metadata=metadata, timestamp=ago(minutes))


def fast_fails(minutes: float, **buckets: int) -> None:
    """Keep a row of fast fails: `le100=3` are three between the bound before 100 ms and that."""
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
    """Keep the rows of an interval's requests, all in two buckets: up to 1 s and up to 2.5 s."""
    row("error_rate", minutes, 100 * errors / count, count=count, errors=errors, client_errors=0)
    buckets = [0, 0, 0, 0, 0, 0, 0, le1000, count - le1000, 0, 0, 0]
    row("avg_response_time", minutes, 700, count=count, buckets=buckets, max_ms=2500)


def audited() -> None:
    """Have the ledger audited, now in truth: audits know no other time."""
    audit([OVERSOLD])


def verdict(scenario: str, days: int = 1, now: datetime | None = None) -> Evaluation:
    """Return the verdict on a scenario at noon."""
    (found,) = [
        judgement for one, judgement in judged(days, now or NOON).items() if one.id == scenario
    ]
    return found


def numbers(judgement: Evaluation) -> dict[str, tuple[float | None, bool | None]]:
    """Return a verdict's measures: value, and whether the promise was kept."""
    return {one.name: (one.value, one.kept) for one in judgement.measures}


def measure(judgement: Evaluation, name: str) -> Measure:
    """Return the measure whose name begins so."""
    (found,) = [one for one in judgement.measures if one.name.startswith(name)]
    return found


def really_now() -> datetime:
    """Return the time that audits and queues go by."""
    return timezone.now()

# ruff: noqa: D101 - thresholds.toml explains each table
"""The shop's thresholds, read from thresholds.toml, which explains each of them.

from retail.thresholds import THRESHOLDS, in_words

if error_rate > THRESHOLDS.error_rate.most_ratio: ...
"""

import tomllib
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

FILE = Path(__file__).with_name("thresholds.toml")
BURN_SEVERITIES = ("critical", "ticket")
T = TypeVar("T")


class ThresholdsError(ValueError):
    """The file has a missing or unknown threshold, or an invalid value."""


@dataclass(frozen=True)
class ErrorRate:
    most_ratio: float
    warning_ratio: float
    window_seconds: int
    for_seconds: int
    least_requests: int


@dataclass(frozen=True)
class ResponseTime:
    warning_seconds: float
    most_seconds: float


@dataclass(frozen=True)
class PaymentSuccess:
    least_ratio: float
    warning_ratio: float
    window_seconds: int
    for_seconds: int
    least_payments: int


@dataclass(frozen=True)
class FastFail:
    most_seconds: float
    least_ratio: float


@dataclass(frozen=True)
class FailedLogins:
    most_failures: int
    window_seconds: int


@dataclass(frozen=True)
class StockConflicts:
    most_conflicts: int
    window_seconds: int


@dataclass(frozen=True)
class Oversold:
    most_units: int


@dataclass(frozen=True)
class CircuitBreaker:
    window_seconds: int
    critical_after_seconds: int


@dataclass(frozen=True)
class UnknownPayments:
    most_age_seconds: int


@dataclass(frozen=True)
class Refunds:
    most_age_seconds: int
    pending_most_age_seconds: int
    most_failures: int


@dataclass(frozen=True)
class Feeds:
    most_rejects_ratio: float
    most_repriced_ratio: float
    most_price_factor: float
    most_sold_out_ratio: float
    least_products: int
    least_rows_ratio: float


@dataclass(frozen=True)
class HeldFeeds:
    most_age_seconds: int


@dataclass(frozen=True)
class FeedRejects:
    most_ratio: float
    window_seconds: int
    least_rows: int


@dataclass(frozen=True)
class StaleFeeds:
    for_seconds: int


@dataclass(frozen=True)
class FlashPayments:
    most_seconds: int
    least_ratio: float


@dataclass(frozen=True)
class Invariants:
    most_violations: int
    stale_after_seconds: int
    stale_for_seconds: int


@dataclass(frozen=True)
class Queue:
    most_waiting_seconds: int
    warning_waiting_seconds: int
    for_seconds: int


@dataclass(frozen=True)
class Emails:
    most_waiting_seconds: int
    for_seconds: int


@dataclass(frozen=True)
class Targets:
    critical_for_seconds: int
    warning_for_seconds: int


@dataclass(frozen=True)
class Restarts:
    least_restarts: int
    window_seconds: int


@dataclass(frozen=True)
class LowTraffic:
    least_failures: int
    window_seconds: int


@dataclass(frozen=True)
class LostTraffic:
    most_ratio: float
    window_seconds: int
    for_seconds: int
    least_requests: int


@dataclass(frozen=True)
class Worker:
    silent_after_seconds: int


@dataclass(frozen=True)
class Rollups:
    late_after_seconds: int


@dataclass(frozen=True)
class Gateway:
    silent_after_seconds: int


@dataclass(frozen=True)
class Watchdog:
    late_after_seconds: int


@dataclass(frozen=True)
class Disk:
    warning_free_ratio: float
    least_free_ratio: float
    for_seconds: int


@dataclass(frozen=True)
class PeriodicJobs:
    for_seconds: int


@dataclass(frozen=True)
class Gauges:
    missing_for_seconds: int


@dataclass(frozen=True)
class Telemetry:
    most_failures: int
    window_seconds: int


@dataclass(frozen=True)
class Backups:
    most_age_seconds: int
    for_seconds: int


@dataclass(frozen=True)
class Clocks:
    most_seconds: int
    for_seconds: int


@dataclass(frozen=True)
class Notifications:
    most_failures: int
    window_seconds: int


@dataclass(frozen=True)
class LogErrors:
    most_lines: int
    window_seconds: int


@dataclass(frozen=True)
class ProxyErrors:
    most_responses: int
    window_seconds: int
    for_seconds: int


@dataclass(frozen=True)
class QualityScenarios:
    keep_seconds: int
    for_seconds: int


@dataclass(frozen=True)
class Burn:
    """Burn rate of an error budget that raises an alert, over a long and a short window."""

    factor: float
    long_seconds: int
    short_seconds: int
    severity: str


@dataclass(frozen=True)
class Slo:
    period_seconds: int
    base_seconds: int
    checkout_objective_ratio: float
    checkout_most_seconds: float
    payment_objective_ratio: float
    least_bad_events: int
    burns: tuple[Burn, ...]


@dataclass(frozen=True)
class Thresholds:
    """All thresholds; each table of the file is an attribute."""

    error_rate: ErrorRate
    response_time: ResponseTime
    payment_success: PaymentSuccess
    fast_fail: FastFail
    stock_conflicts: StockConflicts
    oversold: Oversold
    circuit_breaker: CircuitBreaker
    unknown_payments: UnknownPayments
    refunds: Refunds
    feeds: Feeds
    held_feeds: HeldFeeds
    feed_rejects: FeedRejects
    stale_feeds: StaleFeeds
    flash_payments: FlashPayments
    invariants: Invariants
    queue: Queue
    emails: Emails
    targets: Targets
    restarts: Restarts
    low_traffic: LowTraffic
    lost_traffic: LostTraffic
    worker: Worker
    rollups: Rollups
    gateway: Gateway
    watchdog: Watchdog
    disk: Disk
    periodic_jobs: PeriodicJobs
    gauges: Gauges
    telemetry: Telemetry
    failed_logins: FailedLogins
    backups: Backups
    clocks: Clocks
    notifications: Notifications
    log_errors: LogErrors
    proxy_errors: ProxyErrors
    quality_scenarios: QualityScenarios
    slo: Slo


UNITS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}


def in_words(seconds: float) -> str:
    """Return a time in the largest unit that divides it: `15 minutes`, `1 hour`, `0.5 seconds`."""
    units = (unit for unit, size in UNITS.items() if seconds and seconds % size == 0)
    unit = next(units, "second")
    count = seconds / UNITS[unit]
    return f"{count:g} {unit}" if count == 1 else f"{count:g} {unit}s"


def load(text: str) -> Thresholds:
    """Parse and check the text of a thresholds file. Raises ThresholdsError."""
    return checked(tomllib.loads(text))


def checked(values: dict[str, Any]) -> Thresholds:
    """Check a parsed thresholds file. Raises ThresholdsError."""
    return _table(Thresholds, values, "")


def _table(kind: type[T], values: dict[str, Any], path: str) -> T:
    hints = get_type_hints(kind)
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type] # T is a dataclass
    if wrong := names ^ set(values):
        raise ThresholdsError(f"missing or unknown: {', '.join(path + n for n in sorted(wrong))}")
    return kind(**{name: _value(hints[name], values[name], path + name) for name in sorted(names)})


def _value(hint: Any, value: Any, path: str) -> Any:
    if hint == tuple[Burn, ...] and isinstance(value, list):
        return tuple(_table(Burn, burn, f"{path}.") for burn in value)
    if isinstance(value, dict) and isinstance(hint, type) and is_dataclass(hint):
        return _table(hint, value, f"{path}.")
    if hint is str and value in BURN_SEVERITIES:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, hint)) or hint is str:
        raise ThresholdsError(f"{path} = {value!r} has the wrong type or an unknown value")
    # Ratios go from 0 to 1, and no threshold is negative.
    if value < 0 or (path.endswith("_ratio") and value > 1):
        raise ThresholdsError(f"{path} = {value!r} is out of range")
    return hint(value)


THRESHOLDS = load(FILE.read_text(encoding="utf-8"))

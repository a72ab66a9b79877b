"""The cards of the dashboard: key numbers with their status, trend and limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings

from dashboards.measures import MEASURES, Value
from retail import evaluation, measures
from retail.evaluation import NO_LIMIT, Status
from retail.health import counted
from retail.observability.prometheus.catalogue import THROTTLE_SCOPES
from retail.templatetags.durations import duration
from retail.templatetags.shop import money
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dashboards.numbers import Numbers
    from retail.measures import Window

UNITS = {"%": "\N{NO-BREAK SPACE}%", "ms": "\N{NO-BREAK SPACE}ms"}
TITLES = {"error_rate": "Error rate", "payment_success": "Payment success"}
NO_REQUESTS = "No requests in this range."
WHOLE_FROM_MS = 100  # from here on, tenths of a millisecond do not matter


@dataclass(frozen=True)
class Figure:
    """A number on a card. A card with several figures names each."""

    text: str
    unit: str = ""
    name: str = ""


@dataclass(frozen=True)
class Card:
    """A key number. If there are no figures, `why` gives the reason."""

    key: str
    title: str
    figures: list[Figure]
    status: Status
    trend: str = ""
    detail: str = ""
    limit: str = ""
    why: str = ""


def number(value: Value, unit: str) -> str:
    """Format a number, without its unit."""
    if value is None:
        return "–"  # noqa: RUF001 - an en dash on purpose
    if isinstance(value, Decimal):
        return money(value, settings.CURRENCY)
    if isinstance(value, int):
        return f"{value:,}"
    decimals = 2 if unit == "%" else int(value < WHOLE_FROM_MS)
    return f"{value:,.{decimals}f}"


def percent(ratio: float) -> str:
    """Format a threshold's ratio as a percentage."""
    return f"{100 * ratio:g}{UNITS['%']}"


def _with_unit(value: Value, unit: str) -> str:
    return f"{number(value, unit)}{UNITS.get(unit, '')}"


def trend(value: Value, before: Value, unit: str, period: str) -> str:
    """Compare a number with the previous period (`24 hours`, for example), in words."""
    if value is None:
        return ""
    if before is None:
        return f"No data for the previous {period}"
    if number(value, unit) == number(before, unit):
        return f"Same as the previous {period}"
    arrow = "▲" if value > before else "▼"
    if unit == "%":
        change = f"{abs(float(value) - float(before)):.2f} points"
    elif before:
        share = 100 * abs(float(value) / float(before) - 1)
        change = f"{share:,.{int(share < 1)}f}{UNITS['%']}"
    else:
        return f"{arrow} from none in the previous {period}"
    return f"{arrow} {change} from {_with_unit(before, unit)} in the previous {period}"


STATUSES: dict[str, Callable[[Window], Status]] = {
    "error_rate": evaluation.error_rate,
    "payment_success": evaluation.payment_success,
    "response_p95": evaluation.response_time,
    "fast_fail": evaluation.fast_fail,
    "stock_conflicts": evaluation.stock_conflicts,
}


def status(numbers: Numbers, key: str) -> Status:
    """Evaluate a metric of the whole range against its thresholds."""
    return STATUSES[key](numbers.total) if key in STATUSES else NO_LIMIT


@dataclass(frozen=True)
class Words:
    """The texts of a card; `why` is shown if there is no number."""

    why: str
    detail: str = ""
    limit: str = ""


def _card(numbers: Numbers, period: str, key: str, words: Words, *, empty: bool) -> Card:
    """Return the card of one metric, without a figure if it is `empty`."""
    metric, value, before = MEASURES[key], numbers.value(key), numbers.value_before(key)
    figure = Figure(number(value, metric.unit), UNITS.get(metric.unit, ""))
    return Card(
        key=key,
        title=TITLES.get(key, metric.label),
        figures=[] if empty else [figure],
        status=status(numbers, key),
        trend="" if empty and not before else trend(value, before, metric.unit, period),
        detail=words.detail,
        limit=words.limit,
        why=words.why if empty else "",
    )


def _response_card(numbers: Numbers, period: str) -> Card:
    keys = ("response_p50", "response_p95", "response_p99")
    p95 = numbers.value("response_p95")
    figures = [
        Figure(number(numbers.value(key), "ms"), UNITS["ms"], MEASURES[key].label) for key in keys
    ]
    limits = THRESHOLDS.response_time
    change = trend(p95, numbers.value_before("response_p95"), "ms", period)
    return Card(
        key="response_time",
        title="Response time",
        figures=[] if p95 is None else figures,
        status=status(numbers, "response_p95"),
        trend=f"p95: {change[:1].lower()}{change[1:]}" if change else "",
        limit=f"p95 at most {1000 * limits.most_seconds:,.0f} ms",
        why="" if p95 is not None else NO_REQUESTS,
    )


def _breakdown(numbers: Numbers, *parts: tuple[str, str]) -> str:
    """List the metrics that are not zero, each with its label."""
    return " · ".join(
        f"{numbers.value(key):,} {label}" for key, label in parts if numbers.value(key)
    )


def _order_cards(numbers: Numbers, period: str) -> Iterator[Card]:
    empty = not numbers.value("orders")
    yield _card(numbers, period, "orders", Words("No orders confirmed in this range."), empty=empty)
    no_revenue = Words("No orders confirmed, so no revenue.")
    yield _card(numbers, period, "revenue", no_revenue, empty=empty)


def _error_card(numbers: Numbers, period: str) -> Card:
    errors, requests = numbers.value("errors"), numbers.value("requests")
    client_errors = _with_unit(numbers.value("client_error_rate"), "%")
    words = Words(
        why=NO_REQUESTS,
        detail=f"{errors:,} of {counted(int(requests), 'request')} 5xx, plus {client_errors} 4xx"
        if requests
        else "",
        limit=f"at most {percent(THRESHOLDS.error_rate.most_ratio)}",
    )
    return _card(numbers, period, "error_rate", words, empty=not requests)


def _payment_card(numbers: Numbers, period: str) -> Card:
    completed = numbers.value("payments_completed")
    whole = measures.payments_counted(numbers.total)
    words = Words(
        why="No payments settled in this range.",
        detail=f"{completed:,} of {counted(whole, 'payment')}" if whole else "",
        limit=f"at least {percent(THRESHOLDS.payment_success.least_ratio)}",
    )
    return _card(numbers, period, "payment_success", words, empty=not whole)


def _refund_card(numbers: Numbers, period: str) -> Card:
    open_now = "All refunds are settled."
    if numbers.refunds_unsettled:
        age = duration(numbers.refunds_oldest)
        open_now = f"{numbers.refunds_unsettled:,} not settled, the oldest for {age}."
    if numbers.refunds_for_staff:
        open_now += f" Waiting for staff: {numbers.refunds_for_staff:,}."
    words = Words("Nothing was refunded in this range.", detail=open_now)
    card = _card(numbers, period, "refunds", words, empty=not numbers.value("refunds"))
    amount = Figure(number(numbers.value("refund_amount"), settings.CURRENCY), name="Amount")
    named = [replace(figure, name="Refunds") for figure in card.figures]
    return replace(card, figures=[*named, amount] if named else [])


def _rejection_cards(numbers: Numbers, period: str) -> Iterator[Card]:
    """Yield the cards of rejected requests; a zero is shown only if there were requests."""
    scopes = [(f"throttled_{scope}", scope.replace("_", " ")) for scope in sorted(THROTTLE_SCOPES)]
    by_scope = Words(NO_REQUESTS, detail=_breakdown(numbers, *scopes))
    unvisited = not numbers.value("requests")
    throttled, conflicts = numbers.value("throttled"), numbers.value("stock_conflicts")
    yield _card(numbers, period, "throttled", by_scope, empty=unvisited and not throttled)
    limit = Words(NO_REQUESTS, limit=f"at most {THRESHOLDS.stock_conflicts.most_conflicts}")
    yield _card(numbers, period, "stock_conflicts", limit, empty=unvisited and not conflicts)


def cards(numbers: Numbers, period: str) -> list[Card]:
    """Return all cards; `period` is the range in words."""
    return [
        *_order_cards(numbers, period),
        _error_card(numbers, period),
        _payment_card(numbers, period),
        _response_card(numbers, period),
        _refund_card(numbers, period),
        *_rejection_cards(numbers, period),
    ]

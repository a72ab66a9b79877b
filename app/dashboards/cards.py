"""The key numbers as people read them: in words, judged, and against the time before."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from django.apps import apps
from django.conf import settings

from dashboards.measures import MEASURES, Value
from retail import measures
from retail.observability.prometheus.catalogue import THROTTLE_SCOPES
from retail.templatetags.shop import money
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dashboards.numbers import Numbers

UNITS = {"%": "\N{NO-BREAK SPACE}%", "ms": "\N{NO-BREAK SPACE}ms"}
TITLES = {"error_rate": "Error rate", "payment_success": "Payment success"}
NOBODY = "No request was answered in this range."
ENOUGH_MS = 100  # from here on nobody reads a tenth of a millisecond


class Status(NamedTuple):
    """`good`, `warn`, `bad`, or `calm` where there is nothing to judge; and the word for it."""

    state: str
    word: str


NO_LIMIT = Status("calm", "no limit")
NOTHING = Status("calm", "nothing to judge")
TOO_FEW = Status("calm", "too few to judge")
NORMAL = Status("good", "normal")


@dataclass(frozen=True)
class Figure:
    """A number of a card; `name` tells it from others on the same card."""

    text: str
    unit: str = ""
    name: str = ""


@dataclass(frozen=True)
class Card:
    """A key number. Without figures, `why` says why there is none."""

    key: str
    title: str
    figures: list[Figure]
    status: Status
    trend: str = ""
    detail: str = ""
    limit: str = ""
    why: str = ""


def number(value: Value, unit: str) -> str:
    """Return a number without its unit, with as many digits as are read."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash is what it is
    if isinstance(value, Decimal):
        return money(value, settings.CURRENCY)
    if isinstance(value, int):
        return f"{value:,}"
    decimals = 2 if unit == "%" else int(value < ENOUGH_MS)
    return f"{value:,.{decimals}f}"


def percent(ratio: float) -> str:
    """Return a threshold's ratio as people read it."""
    return f"{100 * ratio:g}{UNITS['%']}"


def _said(value: Value, unit: str) -> str:
    return f"{number(value, unit)}{UNITS.get(unit, '')}"


def trend(value: Value, before: Value, unit: str, span: str) -> str:
    """Say how a number stands against the one of the span before: `24 hours`, for example."""
    if value is None:
        return ""
    if before is None:
        return f"Nothing in the {span} before to compare with"
    if number(value, unit) == number(before, unit):
        return f"The same as in the {span} before"
    arrow = "▲" if value > before else "▼"
    if unit == "%":
        change = f"{abs(float(value) - float(before)):.2f} points"
    elif before:
        share = 100 * abs(float(value) / float(before) - 1)
        change = f"{share:,.{int(share < 1)}f}{UNITS['%']}"
    else:
        return f"{arrow} from none in the {span} before"
    return f"{arrow} {change} from {_said(before, unit)} in the {span} before"


def _error_rate(found: Numbers) -> Status:
    limits, rate = THRESHOLDS.error_rate, found.value("error_rate")
    if rate is None:
        return NOTHING
    if measures.requests(found.total) < limits.least_requests:
        return TOO_FEW
    if rate > 100 * limits.most_ratio:
        return Status("bad", "too high")
    return Status("warn", "raised") if rate > 100 * limits.warning_ratio else NORMAL


def _payment_success(found: Numbers) -> Status:
    limits, share = THRESHOLDS.payment_success, found.value("payment_success")
    if share is None:
        return NOTHING
    if measures.payments_judged(found.total) < limits.least_payments:
        return TOO_FEW
    if share < 100 * limits.least_ratio:
        return Status("bad", "too low")
    return Status("warn", "lowered") if share < 100 * limits.warning_ratio else NORMAL


def _response_time(found: Numbers) -> Status:
    limits, slow = THRESHOLDS.response_time, found.value("response_p95")
    if slow is None:
        return NOTHING
    if measures.requests(found.total) < THRESHOLDS.error_rate.least_requests:
        return TOO_FEW
    if slow > 1000 * limits.most_seconds:
        return Status("bad", "too slow")
    return Status("warn", "slow") if slow > 1000 * limits.warning_seconds else NORMAL


def _conflicts(found: Numbers) -> Status:
    if measures.stock_conflicts(found.total) > THRESHOLDS.stock_conflicts.most_conflicts:
        return Status("bad", "a bug")
    return NORMAL if measures.requests(found.total) else NOTHING


JUDGES: dict[str, Callable[[Numbers], Status]] = {
    "error_rate": _error_rate,
    "payment_success": _payment_success,
    "response_p95": _response_time,
    "stock_conflicts": _conflicts,
}


def judged(found: Numbers, key: str) -> Status:
    """Return how a measure of the whole range stands against its threshold."""
    return JUDGES[key](found) if key in JUDGES else NO_LIMIT


@dataclass(frozen=True)
class Words:
    """What a card says beside its number; `why` is said instead of one."""

    why: str
    detail: str = ""
    limit: str = ""


def _card(found: Numbers, span: str, key: str, words: Words, *, empty: bool) -> Card:
    """Return the card of one measure, without a figure where it is `empty`."""
    measure, value, before = MEASURES[key], found.value(key), found.value_before(key)
    figure = Figure(number(value, measure.unit), UNITS.get(measure.unit, ""))
    return Card(
        key=key,
        title=TITLES.get(key, measure.label),
        figures=[] if empty else [figure],
        status=judged(found, key),
        trend="" if empty and not before else trend(value, before, measure.unit, span),
        detail=words.detail,
        limit=words.limit,
        why=words.why if empty else "",
    )


def _speed(found: Numbers, span: str) -> Card:
    keys = ("response_p50", "response_p95", "response_p99")
    p95 = found.value("response_p95")
    figures = [
        Figure(number(found.value(key), "ms"), UNITS["ms"], MEASURES[key].label) for key in keys
    ]
    limits = THRESHOLDS.response_time
    change = trend(p95, found.value_before("response_p95"), "ms", span)
    return Card(
        key="response_time",
        title="Response time",
        figures=[] if p95 is None else figures,
        status=judged(found, "response_p95"),
        trend=f"p95: {change[:1].lower()}{change[1:]}" if change else "",
        limit=f"p95 at most {1000 * limits.most_seconds:,.0f} ms",
        why="" if p95 is not None else NOBODY,
    )


def _beside(found: Numbers, *parts: tuple[str, str]) -> str:
    """Return measures and their words, those with a number alone."""
    return " · ".join(f"{found.value(key):,} {word}" for key, word in parts if found.value(key))


def _orders(found: Numbers, span: str) -> Iterator[Card]:
    """Yield what a shop owner asks first."""
    none = not found.value("orders")
    yield _card(found, span, "orders", Words("No order was confirmed in this range."), empty=none)
    nothing = Words("No order was confirmed, so nothing was taken.")
    yield _card(found, span, "revenue", nothing, empty=none)


def _error_card(found: Numbers, span: str) -> Card:
    errors, requests = found.value("errors"), found.value("requests")
    refused = _said(found.value("client_error_rate"), "%")
    words = Words(
        why=NOBODY,
        detail=f"{errors:,} of {requests:,} requests 5xx; {refused} 4xx beside" if requests else "",
        limit=f"at most {percent(THRESHOLDS.error_rate.most_ratio)}",
    )
    return _card(found, span, "error_rate", words, empty=not requests)


def _payment_card(found: Numbers, span: str) -> Card:
    completed, whole = found.value("payments_completed"), measures.payments_judged(found.total)
    words = Words(
        why="No payment was settled in this range.",
        detail=f"{completed:,} of {whole:,} payments" if whole else "",
        limit=f"at least {percent(THRESHOLDS.payment_success.least_ratio)}",
    )
    return _card(found, span, "payment_success", words, empty=not whole)


def _refunds(found: Numbers, span: str) -> Card:
    why = (
        "Nothing was paid back in this range."
        if apps.is_installed("returns")
        else "The shop takes no returns yet, so there is nothing to count."
    )
    return _card(found, span, "refunds", Words(why), empty=not found.value("refunds"))


def _held_back(found: Numbers, span: str) -> Iterator[Card]:
    """Yield what was refused; that nothing was is said only of a shop that had requests."""
    scopes = [(f"throttled_{scope}", scope.replace("_", " ")) for scope in sorted(THROTTLE_SCOPES)]
    by_scope = Words(NOBODY, detail=_beside(found, *scopes))
    unvisited = not found.value("requests")
    throttled, conflicts = found.value("throttled"), found.value("stock_conflicts")
    yield _card(found, span, "throttled", by_scope, empty=unvisited and not throttled)
    limit = Words(NOBODY, limit=f"at most {THRESHOLDS.stock_conflicts.most_conflicts}")
    yield _card(found, span, "stock_conflicts", limit, empty=unvisited and not conflicts)


def cards(found: Numbers, span: str) -> list[Card]:
    """Return the cards; `span` is the range in words."""
    return [
        *_orders(found, span),
        _error_card(found, span),
        _payment_card(found, span),
        _speed(found, span),
        _refunds(found, span),
        *_held_back(found, span),
    ]

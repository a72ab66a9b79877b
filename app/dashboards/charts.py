"""The charts: what each shows, what is normal there, and the table behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.safestring import SafeString, mark_safe

from dashboards.cards import percent
from dashboards.measures import MEASURES, MetricDefinition, Value
from retail.thresholds import THRESHOLDS, in_words

if TYPE_CHECKING:
    from datetime import datetime

    from dashboards.numbers import Numbers

ERRORS, PAYMENTS, TIMES = (
    THRESHOLDS.error_rate,
    THRESHOLDS.payment_success,
    THRESHOLDS.response_time,
)


@dataclass(frozen=True)
class Limit:
    """A line across a chart."""

    at: float
    state: str  # warn or bad


@dataclass(frozen=True)
class Chart:
    """Measures of one unit over time. `empty` says why there is nothing to draw."""

    key: str
    title: str
    normal: str
    keys: tuple[str, ...]
    empty: str
    limits: tuple[Limit, ...] = ()
    bars: bool = False
    daily: bool = False
    counted: str = ""  # the unit, where the measures have several
    alarming: str = ""  # the measure that is drawn in the colour of trouble

    @property
    def measures(self) -> list[MetricDefinition]:
        """What is drawn, the first on top."""
        return [MEASURES[key] for key in self.keys]

    @property
    def coloured(self) -> list[tuple[MetricDefinition, str]]:
        """The measures and the names of their colours."""
        return [
            (one, "bad" if one.key == self.alarming else str(place))
            for place, one in enumerate(self.measures, 1)
        ]

    @property
    def unit(self) -> str:
        """What the upright axis counts."""
        return self.counted or self.measures[0].unit

    @property
    def adds_up(self) -> bool:
        """Whether it counts something, and is not a share or a time."""
        return self.unit not in {"%", "ms"}

    @property
    def spec(self) -> dict[str, Any]:
        """What the script draws it from."""
        return {
            "key": self.key,
            "unit": self.unit,
            "adds_up": self.adds_up,
            "bars": self.bars,
            "daily": self.daily,
            "limits": [vars(limit) for limit in self.limits],
            "series": [
                {
                    "key": one.key,
                    "label": one.label,
                    "decimals": one.decimals,
                    "colour": f"--series-{colour}",
                }
                for one, colour in self.coloured
            ],
        }


CHARTS = (
    Chart(
        "daily",
        "Orders per day",
        "Each day from midnight to midnight UTC; the last is today so far.",
        ("orders",),
        "No order was confirmed in these days.",
        bars=True,
        daily=True,
    ),
    Chart(
        "revenue",
        "Revenue",
        "Confirmed orders, when they were confirmed.",
        ("revenue",),
        "No order was confirmed in this range.",
        bars=True,
    ),
    Chart(
        "errors",
        "Error rate",
        f"Normally under {percent(ERRORS.warning_ratio)}; above {percent(ERRORS.most_ratio)} for "
        f"{in_words(ERRORS.for_seconds)} is an alert. 4xx are the visitors'.",
        ("error_rate", "client_error_rate"),
        "No request was answered in this range.",
        (Limit(100 * ERRORS.warning_ratio, "warn"), Limit(100 * ERRORS.most_ratio, "bad")),
        alarming="error_rate",
    ),
    Chart(
        "payments",
        "Payment success",
        f"Normally above {percent(PAYMENTS.warning_ratio)}; below {percent(PAYMENTS.least_ratio)} "
        f"for {in_words(PAYMENTS.for_seconds)} is an alert.",
        ("payment_success",),
        "No payment was settled in this range.",
        (Limit(100 * PAYMENTS.warning_ratio, "warn"), Limit(100 * PAYMENTS.least_ratio, "bad")),
    ),
    Chart(
        "times",
        "Response time",
        f"Normally p95 under {1000 * TIMES.warning_seconds:,.0f} ms; above "
        f"{1000 * TIMES.most_seconds:,.0f} ms people notice.",
        ("response_p50", "response_p95", "response_p99"),
        "No request was answered in this range.",
        (
            Limit(1000 * TIMES.warning_seconds, "warn"),
            Limit(1000 * TIMES.most_seconds, "bad"),
        ),
    ),
    Chart(
        "requests",
        "Requests",
        "Follows the time of day. None at all while the shop is open is a sign of trouble.",
        ("requests",),
        "No request was answered in this range.",
        bars=True,
    ),
    Chart(
        "settled",
        "Payments settled",
        "Follows the orders. A declined card counts as failed.",
        ("payments_completed", "payments_failed"),
        "No payment was settled in this range.",
        alarming="payments_failed",
    ),
    Chart(
        "held",
        "Held back",
        "Throttled requests, payments that met an open breaker, stock conflicts. Normally none; "
        "a flash sale throttles some.",
        ("throttled", "held_back", "stock_conflicts"),
        "Nothing was held back in this range.",
        counted="times",
        alarming="stock_conflicts",
    ),
)


def plain(value: Value) -> int | float | None:
    """Return a value as a chart can draw it."""
    return value if value is None or isinstance(value, int) else float(value)


def drawable(found: Numbers) -> dict[str, Any]:
    """Return what the script draws: times in seconds since 1970, and values by measure."""
    keys = sorted({key for chart in CHARTS if not chart.daily for key in chart.keys})
    daily = sorted({key for chart in CHARTS if chart.daily for key in chart.keys})
    return {
        "step": int(found.span.step.total_seconds()),
        "steps": [int(start.timestamp()) for start, _ in found.steps],
        "series": {key: [plain(value) for value in found.each(key)] for key in keys},
        "days": [int(start.timestamp()) for start, _ in found.days],
        "daily": {key: [plain(value) for value in found.each(key, daily=True)] for key in daily},
        "charts": [chart.spec for chart in CHARTS],
    }


def _time(start: datetime, *, daily: bool) -> str:
    return f"{start:%Y-%m-%d}" if daily else f"{start:%Y-%m-%d %H:%M}"


def rows(found: Numbers, chart: Chart) -> SafeString:
    """Return the rows of the table behind a chart, the newest first.

    Only numbers and times go in; a template would take longer for them than all the rest.
    """
    days = chart.daily or found.span.step.days > 0
    parts = found.days if chart.daily else found.steps
    columns = [(one, found.each(one.key, daily=chart.daily)) for one in chart.measures]
    lines = []
    for at in reversed(range(len(parts))):
        cells = "".join(f"<td>{_cell(values[at], one.decimals)}</td>" for one, values in columns)
        lines.append(f'<tr><th scope="row">{_time(parts[at][0], daily=days)}</th>{cells}</tr>')
    return mark_safe("".join(lines))  # noqa: S308 - numbers and times only


def _cell(value: Value, decimals: int) -> str:
    return "–" if value is None else f"{value:,.{decimals}f}"  # noqa: RUF001 - a dash it is

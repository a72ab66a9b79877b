"""The charts of the dashboard: what each shows, what is normal, and its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.safestring import SafeString, mark_safe

from dashboards.cards import NO_REQUESTS, percent
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
    """Metrics of one unit over time. `empty` is shown if there is nothing to draw."""

    key: str
    title: str
    normal: str
    keys: tuple[str, ...]
    empty: str
    limits: tuple[Limit, ...] = ()
    bars: bool = False
    daily: bool = False
    mixed_unit: str = ""  # the unit, if the metrics have different ones
    alarming: str = ""  # the metric that is drawn in the error colour

    @property
    def metrics(self) -> list[MetricDefinition]:
        """The metrics drawn, the first on top."""
        return [MEASURES[key] for key in self.keys]

    @property
    def coloured(self) -> list[tuple[MetricDefinition, str]]:
        """Each metric with the name of its colour."""
        return [
            (metric, "bad" if metric.key == self.alarming else str(number))
            for number, metric in enumerate(self.metrics, 1)
        ]

    @property
    def unit(self) -> str:
        """The unit of the vertical axis."""
        return self.mixed_unit or self.metrics[0].unit

    @property
    def adds_up(self) -> bool:
        """Whether its values can be added: counts can, shares and times cannot."""
        return self.unit not in {"%", "ms"}

    @property
    def spec(self) -> dict[str, Any]:
        """The definition that charts.js draws from."""
        return {
            "key": self.key,
            "unit": self.unit,
            "adds_up": self.adds_up,
            "bars": self.bars,
            "daily": self.daily,
            "limits": [vars(limit) for limit in self.limits],
            "series": [
                {
                    "key": metric.key,
                    "label": metric.label,
                    "decimals": metric.decimals,
                    "colour": f"--series-{colour}",
                }
                for metric, colour in self.coloured
            ],
        }


CHARTS = (
    Chart(
        "daily",
        "Orders per day",
        "Days start at midnight UTC. The last one is today so far.",
        ("orders",),
        "No orders confirmed on these days.",
        bars=True,
        daily=True,
    ),
    Chart(
        "revenue",
        "Revenue",
        "Total of confirmed orders, by time of confirmation, before refunds.",
        ("revenue",),
        "No orders confirmed in this range.",
        bars=True,
    ),
    Chart(
        "refunds",
        "Refunds",
        "Total of refunds, by time of the payout. What fails later is taken off again.",
        ("refund_amount",),
        "No refunds paid in this range.",
        bars=True,
    ),
    Chart(
        "errors",
        "Error rate",
        f"Normally below {percent(ERRORS.warning_ratio)}. An alert fires if it is above "
        f"{percent(ERRORS.most_ratio)} for {in_words(ERRORS.for_seconds)}. "
        "4xx errors are caused by the request.",
        ("error_rate", "client_error_rate"),
        NO_REQUESTS,
        (Limit(100 * ERRORS.warning_ratio, "warn"), Limit(100 * ERRORS.most_ratio, "bad")),
        alarming="error_rate",
    ),
    Chart(
        "payments",
        "Payment success",
        f"Normally above {percent(PAYMENTS.warning_ratio)}. An alert fires if it is below "
        f"{percent(PAYMENTS.least_ratio)} for {in_words(PAYMENTS.for_seconds)}.",
        ("payment_success",),
        "No payments settled in this range.",
        (Limit(100 * PAYMENTS.warning_ratio, "warn"), Limit(100 * PAYMENTS.least_ratio, "bad")),
    ),
    Chart(
        "times",
        "Response time",
        f"p95 is normally below {1000 * TIMES.warning_seconds:,.0f} ms. Above "
        f"{1000 * TIMES.most_seconds:,.0f} ms, the shop feels slow.",
        ("response_p50", "response_p95", "response_p99"),
        NO_REQUESTS,
        (
            Limit(1000 * TIMES.warning_seconds, "warn"),
            Limit(1000 * TIMES.most_seconds, "bad"),
        ),
    ),
    Chart(
        "requests",
        "Requests",
        "Varies with the time of day. A sudden drop is a sign of trouble.",
        ("requests",),
        NO_REQUESTS,
        bars=True,
    ),
    Chart(
        "settled",
        "Payments settled",
        "Varies with the number of orders. A declined card counts as failed.",
        ("payments_completed", "payments_failed"),
        "No payments settled in this range.",
        alarming="payments_failed",
    ),
    Chart(
        "rejected",
        "Rejected",
        "Throttled requests, checkouts refused by the breaker, and stock conflicts. Normally none, "
        "except for some throttling during a flash sale.",
        ("throttled", "checkouts_refused", "stock_conflicts"),
        "Nothing was rejected in this range.",
        mixed_unit="events",
        alarming="stock_conflicts",
    ),
)


def plain(value: Value) -> int | float | None:
    """Convert a value to a JSON number."""
    return value if value is None or isinstance(value, int) else float(value)


def drawable(numbers: Numbers) -> dict[str, Any]:
    """Return the data for charts.js: Unix times, and values by metric."""
    keys = sorted({key for chart in CHARTS if not chart.daily for key in chart.keys})
    daily = sorted({key for chart in CHARTS if chart.daily for key in chart.keys})
    return {
        "step": int(numbers.span.step.total_seconds()),
        "steps": [int(start.timestamp()) for start, _ in numbers.steps],
        "series": {key: [plain(value) for value in numbers.each(key)] for key in keys},
        "days": [int(start.timestamp()) for start, _ in numbers.days],
        "daily": {key: [plain(value) for value in numbers.each(key, daily=True)] for key in daily},
        "charts": [chart.spec for chart in CHARTS],
    }


def _time(start: datetime, *, daily: bool) -> str:
    return f"{start:%Y-%m-%d}" if daily else f"{start:%Y-%m-%d %H:%M}"


def rows(numbers: Numbers, chart: Chart) -> SafeString:
    """Return the rows of a chart's table as HTML, the newest first.

    Not a template: rendering the rows in one takes longer than the rest of the page.
    """
    by_day = chart.daily or numbers.span.step.days > 0
    steps = numbers.days if chart.daily else numbers.steps
    columns = [(metric, numbers.each(metric.key, daily=chart.daily)) for metric in chart.metrics]
    lines = []
    for index in reversed(range(len(steps))):
        cells = "".join(
            f"<td>{_cell(values[index], metric.decimals)}</td>" for metric, values in columns
        )
        start = _time(steps[index][0], daily=by_day)
        lines.append(f'<tr><th scope="row">{start}</th>{cells}</tr>')
    return mark_safe("".join(lines))  # noqa: S308 - numbers and times only


def _cell(value: Value, decimals: int) -> str:
    return "–" if value is None else f"{value:,.{decimals}f}"  # noqa: RUF001 - an en dash

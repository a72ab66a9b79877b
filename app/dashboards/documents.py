"""The numbers as JSON (docs/api.md) and as CSV."""

from __future__ import annotations

import csv
import hashlib
import inspect
from datetime import UTC
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING, Any

import orjson

from dashboards.cards import status
from dashboards.guide import GUIDE
from dashboards.measures import MEASURES, Value
from retail import measures
from retail.health import problems
from returns.measures import refunds_for_staff, refunds_unsettled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from dashboards.numbers import Numbers
    from retail.health import Check

VERSION = 1
DAILY = ("orders", "revenue", "refunds", "refund_amount")


def _exact(value: Value | str) -> int | float | str | None:
    """Return a value that JSON and CSV hold without loss: money becomes text."""
    return str(value) if isinstance(value, Decimal) else value


def _moment(moment: datetime | None) -> str | None:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else None


def _number(numbers: Numbers, key: str) -> dict[str, Any]:
    return {
        "value": _exact(numbers.value(key)),
        "before": _exact(numbers.value_before(key)),
        "unit": MEASURES[key].unit,
        "definition": MEASURES[key].described,
        "state": status(numbers, key).state,
    }


def _now(value: int, unit: str, measure: Callable[..., int]) -> dict[str, Any]:
    return {"value": value, "unit": unit, "definition": inspect.getdoc(measure)}


def _problems(checks: Iterable[Check]) -> list[dict[str, Any]]:
    """Return what is wrong now, the worst first, without texts that change every second."""
    return [
        {
            "name": check.name,
            "state": check.finding.state,
            "since": _moment(check.finding.since),
        }
        for check in problems(checks)
    ]


def as_json(numbers: Numbers, checks: Iterable[Check], days: int) -> tuple[bytes, str]:
    """Return the document and a hash of its content without the two times that always change."""
    wrong = _problems(checks)
    content = {
        "version": VERSION,
        "state": wrong[0]["state"] if wrong else "good",
        "problems": wrong,
        "days": days,
        "since": _moment(numbers.span.since),
        "step_seconds": int(numbers.span.step.total_seconds()),
        "numbers": {key: _number(numbers, key) for key in MEASURES},
        "metrics": {
            metric.name: {
                "value": _exact(metric.value(numbers, days)),
                "unit": metric.unit,
                "definition": metric.definition,
            }
            for metric in GUIDE
        },
        "now": {
            "payments_pending": _now(numbers.pending, "payments", measures.payments_pending),
            "payments_unknown": _now(numbers.unknown, "payments", measures.payments_unknown),
            "refunds_unsettled": _now(numbers.refunds_unsettled, "refunds", refunds_unsettled),
            "refunds_for_staff": _now(numbers.refunds_for_staff, "refunds", refunds_for_staff),
        },
        "series": {
            "starts": [_moment(start) for start, _ in numbers.steps],
            **{
                key: {
                    "unit": metric.unit,
                    "values": [_exact(value) for value in numbers.each(key)],
                }
                for key, metric in MEASURES.items()
            },
        },
        "daily": {
            "days": [f"{start:%Y-%m-%d}" for start, _ in numbers.days],
            **{
                key: {
                    "unit": MEASURES[key].unit,
                    "values": [_exact(value) for value in numbers.each(key, daily=True)],
                }
                for key in DAILY
            },
        },
    }
    content_hash = hashlib.sha256(orjson.dumps(content)).hexdigest()[:32]
    times = {"rolled_until": numbers.rolled_until, "generated_at": numbers.now}
    return orjson.dumps(
        {**content, **{key: _moment(at) for key, at in times.items()}}
    ), content_hash


def as_csv(numbers: Numbers) -> str:
    """Return a header with names and units, and a line for each step."""
    out = StringIO()
    lines = csv.writer(out)
    lines.writerow(["start (UTC)", *(f"{key} ({metric.unit})" for key, metric in MEASURES.items())])
    for start, window in numbers.steps:
        values = (_exact(metric.of(window)) for metric in MEASURES.values())
        lines.writerow([_moment(start), *("" if value is None else value for value in values)])
    return out.getvalue()

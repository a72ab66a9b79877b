"""The numbers for programs: JSON (docs/api.md) and a CSV file."""

from __future__ import annotations

import csv
import hashlib
import inspect
from datetime import UTC
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING, Any

import orjson

from dashboards.cards import judged
from dashboards.measures import MEASURES, Value
from retail import measures

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from dashboards.numbers import Numbers

VERSION = 1
DAILY = ("orders", "revenue")


def _exact(value: Value) -> int | float | str | None:
    """Return a value as JSON and CSV hold it without loss: money is text."""
    return str(value) if isinstance(value, Decimal) else value


def _moment(moment: datetime | None) -> str | None:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else None


def _number(found: Numbers, key: str) -> dict[str, Any]:
    return {
        "value": _exact(found.value(key)),
        "before": _exact(found.value_before(key)),
        "unit": MEASURES[key].unit,
        "definition": MEASURES[key].described,
        "state": judged(found, key).state,
    }


def _now(value: int, measure: Callable[..., int]) -> dict[str, Any]:
    return {"value": value, "unit": "payments", "definition": inspect.getdoc(measure)}


def as_json(found: Numbers, days: int) -> tuple[bytes, str]:
    """Return the document and a hash of its content, without the two times that always change."""
    content = {
        "version": VERSION,
        "days": days,
        "since": _moment(found.span.since),
        "step_seconds": int(found.span.step.total_seconds()),
        "numbers": {key: _number(found, key) for key in MEASURES},
        "now": {
            "payments_pending": _now(found.pending, measures.payments_pending),
            "payments_unknown": _now(found.unknown, measures.payments_unknown),
        },
        "series": {
            "starts": [_moment(start) for start, _ in found.steps],
            **{
                key: {"unit": one.unit, "values": [_exact(value) for value in found.each(key)]}
                for key, one in MEASURES.items()
            },
        },
        "daily": {
            "days": [f"{start:%Y-%m-%d}" for start, _ in found.days],
            **{
                key: {
                    "unit": MEASURES[key].unit,
                    "values": [_exact(value) for value in found.each(key, daily=True)],
                }
                for key in DAILY
            },
        },
    }
    content_hash = hashlib.sha256(orjson.dumps(content)).hexdigest()[:32]
    times = {"rolled_until": found.rolled_until, "generated_at": found.now}
    return orjson.dumps(
        {**content, **{key: _moment(at) for key, at in times.items()}}
    ), content_hash


def as_csv(found: Numbers) -> str:
    """Return a line for each step; the first line has names and units."""
    out = StringIO()
    lines = csv.writer(out)
    lines.writerow(["start (UTC)", *(f"{key} ({one.unit})" for key, one in MEASURES.items())])
    for start, part in found.steps:
        values = (_exact(one.of(part)) for one in MEASURES.values())
        lines.writerow([_moment(start), *("" if one is None else one for one in values)])
    return out.getvalue()

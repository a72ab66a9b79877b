"""No query looks further back than Prometheus and Loki keep what it reads."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from django.conf import settings

from dashboards.overview import RANGES
from quality.catalogue import SCENARIOS
from quality.selectors import RANGE_NAMES
from retail.history.read import time_range
from retail.thresholds import THRESHOLDS
from tests.contracts.queries import ROOT, Query, all_queries, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator

UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
DURATION = re.compile(r"(\d+)([wdhms])")
LOGQL = re.compile(r"\[((?:\d+[wdhms])+)\]")
AGO = re.compile(r"now-(\d+[wdhms])")
MARGIN = timedelta(days=1)  # blocks are deleted as a whole, and a query is evaluated at any time
STORES = {"prometheus", "loki"}


def duration(text: str) -> timedelta:
    """Return a duration of PromQL or LogQL, such as 1h30m."""
    parts = DURATION.findall(text)
    assert "".join(map("".join, parts)) == text, text
    return timedelta(seconds=sum(int(number) * UNITS[unit] for number, unit in parts))


def retention() -> dict[str, timedelta]:
    """Return how long each store keeps data."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    flags = dict(flag.partition("=")[::2] for flag in compose["services"]["prometheus"]["command"])
    loki = yaml.safe_load((ROOT / "loki/loki.yml").read_text("utf-8"))
    return {
        "prometheus": duration(flags["--storage.tsdb.retention.time"]),
        "loki": duration(loki["limits_config"]["retention_period"]),
    }


KEPT = retention()
ROWS_KEPT = timedelta(days=settings.METRIC_KEEP_DAYS)


def window(node: Any) -> timedelta:
    """Return how far back an expression looks."""
    kind = type(node).__name__
    own = timedelta(0)
    if kind == "MatrixSelector":
        range_: timedelta = node.range
        return range_ + window(node.vector_selector)
    if kind == "VectorSelector":
        offset: timedelta = node.offset or own
        return offset
    if kind == "SubqueryExpr":
        own = node.range + (node.offset or own)
    children = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "param")]
    children += list(node.args) if kind == "Call" else []
    below = [
        window(child)
        for child in children
        if type(child).__module__.startswith(("promql_parser", "builtins"))
        and child is not None
        and not isinstance(child, (str, int, float))
    ]
    return own + max(below, default=timedelta(0))


def logql() -> Iterator[tuple[str, str]]:
    """Yield every LogQL expression with its place."""
    for path in sorted((ROOT / "loki/rules").rglob("*.yml")):
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            yield from ((rule["alert"], rule["expr"]) for rule in group["rules"])
    for path in sorted((ROOT / "grafana/dashboards").glob("*.json")):
        for expr in re.findall(r'"expr": ("(?:[^"\\]|\\.)*")', path.read_text("utf-8")):
            text = json.loads(expr)
            if "{" in text and "|" in text:
                yield path.name, text
    for path in sorted((ROOT / "docs/runbooks").glob("*.md")):
        for block in re.findall(
            r"^```logql\n(.+?)\n```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL
        ):
            yield path.name, block


def too_far(queries: list[Query]) -> list[str]:
    """Return a message for each query that looks back further than Prometheus remembers."""
    return [
        f"{query.where}: {back}"
        for query in queries
        if (back := window(parsed(query))) > KEPT["prometheus"] - MARGIN
    ]


def test_no_query_of_metrics_looks_back_too_far() -> None:
    queries = all_queries()
    assert max(window(parsed(query)) for query in queries) >= timedelta(
        seconds=THRESHOLDS.slo.period_seconds
    )
    assert too_far(queries) == []


@pytest.mark.parametrize(
    "expr",
    [
        "sum_over_time(x[31d])",
        "x offset 31d",
        "rate(x[1d] offset 30d)",
        "max_over_time(x[30d:1h] offset 1d)",
        "max_over_time(rate(x[1d])[30d:1h])",
        "1 - (a / b) > on (l) avg by (l) (max_over_time(x[32d]))",
        "label_replace(sum_over_time(x[5w]), 'a', '', '', '')",
    ],
)
def test_a_window_that_is_too_long_is_found(expr: str) -> None:
    assert too_far([Query("here", expr)]) == [f"here: {window(parsed(Query('here', expr)))}"]
    assert too_far([Query("here", "sum_over_time(x[29d] offset 12h)")]) == []


def test_no_query_of_logs_looks_back_too_far() -> None:
    windows = [(place, duration(text)) for place, expr in logql() for text in LOGQL.findall(expr)]
    assert windows
    assert [it for it in windows if it[1] > KEPT["loki"]] == []


def test_no_dashboard_opens_with_a_range_that_is_not_kept() -> None:
    ranges = {}
    for path in sorted((ROOT / "grafana/dashboards").glob("*.json")):
        text = path.read_text("utf-8")
        reads = {store for store in STORES if f'"uid": "{store}"' in text}
        for ago in {json.loads(text)["time"]["from"].removeprefix("now-"), *AGO.findall(text)}:
            ranges[path.name, ago] = duration(ago) <= min(KEPT[store] for store in reads)
    assert ranges
    assert [it for it, kept in ranges.items() if not kept] == []


def test_the_budgets_period_is_kept_by_prometheus_and_explained_by_logs() -> None:
    period = timedelta(seconds=THRESHOLDS.slo.period_seconds)
    assert all(kept >= period + MARGIN for kept in KEPT.values())


def test_texts_claim_no_longer_history_than_is_kept() -> None:
    claims = []
    for folder in ("grafana/dashboards", "alerts/rules", "loki/rules", "docs/runbooks"):
        for path in (ROOT / folder).rglob("*.*"):
            for sentence in re.split(r"(?<=\.) ", path.read_text("utf-8")):
                kept = ROWS_KEPT if "metric rows" in sentence else min(KEPT.values())
                claims += [
                    (path.name, days, timedelta(days=int(days)) <= kept)
                    for days in re.findall(r"\b(\d+) days\b", sentence)
                ]
    assert {days for _, days, _ in claims} >= {"30", "90"}
    assert [claim for claim in claims if not claim[2]] == []


def test_pages_offer_only_ranges_that_are_kept() -> None:
    longest = max(timedelta(days=days) for days in RANGE_NAMES)
    assert longest <= min(KEPT.values())
    seen = time_range(RANGE_NAMES[longest.days], datetime.now(UTC))
    queries = [
        Query(f"scenario {scenario.id}", query.of(seen))
        for scenario in SCENARIOS
        for query in scenario.queries
        if query.language == "PromQL"
    ]
    assert queries
    assert too_far(queries) == []
    now = datetime.now(UTC)
    assert {name for name in RANGES if now - time_range(name, now).since > ROWS_KEPT} == set()

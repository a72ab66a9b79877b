"""Dashboards, rules and runbooks query only existing series, and every metric is queried.

Renaming a metric would silently break panels and alerts; these tests report it.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quality.catalogue import SCENARIOS
from retail.history.read import time_range
from retail.observability.prometheus import catalogue
from tests.contracts.emitted import SETTINGS, Emitted, journey, scrape
from tests.contracts.queries import ROOT, Query, all_queries, uses
from tests.running.support import RunningShop

# Labels that Prometheus adds.
EVERYWHERE = {"job", "instance", "le", "quantile", "alertname", "alertstate", "severity", "service"}
# Series of other programs, from the running stack (checked by make stack-test).
FOREIGN = frozenset((Path(__file__).with_name("foreign_series.txt")).read_text().split())
KINDS = {"dashboard", "rule", "runbook", "Grafana's", "page,"}
# They exist only after a failure.
FAILURES = {"django_db_errors_total", "loki_discarded_samples_total"}


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emitted]:
    shop = RunningShop(tmp_path_factory.mktemp("journey"), SETTINGS)
    try:
        shop.start("web", "worker")
        journey(shop)
        ports = (shop.port, shop.worker_port)
        yield scrape(
            *(f"http://127.0.0.1:{port}/metrics" for port in ports), shop.gateway.url + "/metrics"
        )
    finally:
        shop.close()


def of_pages() -> list[Query]:
    """Return the PromQL queries shown on the quality scenarios page."""
    day = time_range("24h", datetime.now(UTC))
    return [
        Query(f"page, scenario {scenario.id}", query.of(day))
        for scenario in SCENARIOS
        for query in scenario.queries
        if query.language == "PromQL"
    ]


@pytest.fixture(scope="module")
def queries() -> list[Query]:
    every = [*all_queries(), *of_pages()]
    assert {query.where.split()[0] for query in every} == KINDS
    return every


def complaints(queries: list[Query], emitted: Emitted) -> list[str]:
    """Return a message for each series, label or value in the queries that does not exist."""
    recorded = {query.records for query in queries} - {""}
    known_labels = EVERYWHERE.union(*(labels.keys() for labels in emitted.values()))
    messages = []
    for query in queries:
        used = uses(query)
        for name, matchers in used.series:
            if name in recorded | FOREIGN | FAILURES:
                continue
            if name not in emitted:
                messages.append(f"{query.where}: there is no series {name}")
                continue
            for label, values in matchers.items():
                if label in EVERYWHERE:
                    continue
                known = emitted[name].get(label, set())
                if not known:
                    messages.append(f"{query.where}: {name} has no label {label}")
                messages += [
                    f'{query.where}: {name} has never {label}="{value}"'
                    for value in values
                    if known and value not in known
                ]
        shop_only = not any(name in FOREIGN for name, _ in used.series)
        messages += [
            f"{query.where}: no series has a label {label}"
            for label in sorted(used.labels - known_labels)
            if shop_only
        ]
    return messages


def test_every_queried_series_and_label_exists(queries: list[Query], emitted: Emitted) -> None:
    assert "retail_orders_total" in emitted
    assert complaints(queries, emitted) == []


def test_every_metric_is_queried(queries: list[Query]) -> None:
    asked = {name for query in queries for name, _ in uses(query).series}
    entries = list(catalogue.entries())
    assert catalogue.HTTP_DURATION in entries
    unused = [
        entry.name
        for entry in entries
        if not any(name == entry.name or name.startswith(f"{entry.name}_") for name in asked)
    ]
    assert unused == []


def test_a_renamed_metric_is_reported_with_panel_rule_and_runbook(
    queries: list[Query], emitted: Emitted
) -> None:
    renamed = dict(emitted)
    renamed["retail_stock_clashes_total"] = renamed.pop("retail_stock_conflicts_total")
    messages = complaints(queries, renamed)
    assert {line.partition(": ")[2] for line in messages} == {
        "there is no series retail_stock_conflicts_total"
    }
    kinds = {line.split()[0] for line in messages}
    assert kinds == KINDS


def test_a_renamed_label_or_value_is_reported(emitted: Emitted) -> None:
    asked = 'sum by (ending) (rate(retail_orders_total{outcome="paid"}[5m]))'
    assert complaints([Query("here", asked)], emitted) == [
        'here: retail_orders_total has never outcome="paid"',
        "here: no series has a label ending",
    ]
    assert complaints([Query("here", 'retail_orders_total{state="x"}')], emitted) == [
        "here: retail_orders_total has no label state"
    ]


def test_invalid_promql_is_refused() -> None:
    with pytest.raises(ValueError, match="unclosed"):
        uses(Query("here", "sum(rate(retail_orders_total[5m])"))


def test_every_runbook_shows_queries() -> None:
    books = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
    assert books
    assert [
        book.name
        for book in books
        if not re.search(r"^```(promql|logql)$", book.read_text(encoding="utf-8"), re.MULTILINE)
    ] == []

"""The committed rules are up to date, Prometheus accepts them, and their unit tests pass."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import yaml

from alerts import build, stock, upkeep
from alerts.model import span
from grafana.page import TITLES
from orders.metrics import CHECKOUT_VIEW
from retail.audit.declare import declared
from retail.observability.prometheus import catalogue
from retail.observability.prometheus.instruments import DatabaseCounter, DatabaseGauge
from retail.thresholds import THRESHOLDS, in_words
from tests.alerts.support import UNIT_TESTS, rules_of, run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

PROMETHEUS = [path for path in build.FILES if path.startswith("alerts/")]
SERVICES = {"shop", "payments", "worker", "watch"}


@pytest.mark.parametrize("path", build.FILES)
def test_the_committed_rules_are_up_to_date(path: str) -> None:
    assert (build.ROOT / path).read_text(encoding="utf-8") == build.built()[path], "make generate"


def test_no_rule_file_is_left_over() -> None:
    folders = ("alerts/rules", "loki/rules")
    files = [path for folder in folders for path in (build.ROOT / folder).rglob("*.*")]
    assert {str(path.relative_to(build.ROOT)) for path in files} == set(build.FILES)


def test_prometheus_accepts_the_rules(promtool: str) -> None:
    done = run(
        promtool, "check", "rules", "--lint-fatal", *(build.ROOT / path for path in PROMETHEUS)
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def outcomes(promtool: str) -> dict[Path, subprocess.CompletedProcess[str]]:
    """Return promtool's result for each file of unit tests, all run in parallel."""
    with ThreadPoolExecutor() as pool:
        done = pool.map(lambda file: run(promtool, "test", "rules", file), UNIT_TESTS)
        return dict(zip(UNIT_TESTS, done, strict=True))


@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda file: file.stem)
def test_the_unit_tests_pass(
    outcomes: dict[Path, subprocess.CompletedProcess[str]], file: Path
) -> None:
    done = outcomes[file]
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_exactly_these_labels_and_annotations() -> None:
    rules = [rule for path in build.FILES for rule in rules_of(path) if "alert" in rule]
    assert len(rules) == len(build.alerts()) > 0
    for rule in rules:
        assert set(rule["labels"]) == {"severity", "service"}, rule["alert"]
        assert rule["labels"]["service"] in SERVICES
        assert rule["labels"]["severity"] in {"critical", "warning", "ticket", "none"}
        annotations = rule["annotations"]
        assert list(annotations) == [
            "summary",
            "description",
            "runbook_url",
            "dashboard_url",
            "logs_url",
        ]
        assert "\n" not in annotations["summary"]
        assert re.search(r"\n1\. .+\n2\. ", annotations["description"]), "the first steps"
        runbook = f"http://localhost:8000/metrics/runbooks/{rule['alert']}/"
        assert annotations["runbook_url"] == runbook
        address, time_range = annotations["dashboard_url"].split("?")
        assert address.removeprefix("http://localhost:3000/d/") in TITLES
        assert time_range == "from=now-1h&to=now"
        logs = "http://localhost:3000/d/retail-logs?from=now-1h&to=now"
        assert re.fullmatch(re.escape(logs) + r"(&var-\w+=[^&]+)*", annotations["logs_url"])


def test_unit_tests_cover_each_prometheus_alert_firing_and_not_firing() -> None:
    firing: dict[str, set[tuple[str, str]]] = {}
    quiet: set[str] = set()
    for file in UNIT_TESTS:
        for case in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for check in case.get("alert_rule_test", []):
                if not check["exp_alerts"]:
                    quiet.add(check["alertname"])
                for alert in check["exp_alerts"]:
                    labels = alert["exp_labels"]
                    assert len(alert["exp_annotations"]) == 5
                    firing.setdefault(check["alertname"], set()).add(
                        (labels["severity"], labels["service"])
                    )
    expected: dict[str, set[tuple[str, str]]] = {}
    for path in PROMETHEUS:
        for group in build.FILES[path]:
            for alert in (rule for rule in build.alerts() if rule in group.rules):
                expected.setdefault(alert.name, set()).add((alert.severity, alert.service))
    assert firing == expected
    assert quiet == set(expected) - {"Watchdog"}


def test_every_recorded_series_in_use_is_recorded() -> None:
    rules = [rule for path in PROMETHEUS for rule in rules_of(path)]
    recorded = [rule["record"] for rule in rules if "record" in rule]
    assert len(recorded) == len(set(recorded)) > 0
    for name in recorded:
        kinds = r"(ratio_)?(rate|increase)\d+[mhd]|evaluated\d+m|last|failed|burning_\w+"
        assert re.fullmatch(rf"service:\w+:({kinds})", name)
    used = {name for rule in rules for name in re.findall(r"service:[\w:]+", rule["expr"])}
    for_dashboards = {name for name in set(recorded) - used if "30d" in name}
    assert used | for_dashboards >= set(recorded) - {
        "service:retail_orders:rate5m",
        "service:retail_payment_attempts:rate5m",
    }
    assert used <= set(recorded)


def test_every_database_gauge_has_an_alert_when_nobody_reports_it() -> None:
    gauges = {entry.name for entry in catalogue.entries() if isinstance(entry, DatabaseGauge)}
    # These are absent for a reason: by invariant RetailAuditStale watches, without evidence a
    # scenario has no value, and there may be no partner.
    others = {"retail_invariant_violations", "retail_quality_scenario_passing"}
    others |= {entry.name for entry in catalogue.entries() if "partner" in entry.labels}
    assert set(upkeep.GAUGES) == gauges - others


def test_no_alert_reads_a_gauge_that_may_disappear() -> None:
    """Gauges are read through a recording that keeps their last value, sums over a window."""
    entries = [entry for entry in catalogue.entries() if isinstance(entry, DatabaseGauge)]
    gauges = {entry.name for entry in entries if not isinstance(entry, DatabaseCounter)}
    gauges |= {"probe_success", "pg_up", "node_filesystem_avail_bytes"}
    rules = [rule for path in PROMETHEUS for rule in rules_of(path) if "alert" in rule]
    # Their absence is what the first two are about; a probe that is gone must not hide a database.
    absence = {"RetailAuditStale", "RetailGaugeMissing", "RetailDatabaseDown", "RetailRestarting"}
    for rule in rules:
        read = set(re.findall(r"(?<![\w:])\w+(?![\w:])", rule["expr"]))
        assert not read & gauges or rule["alert"] in absence, rule["alert"]


def test_the_checkout_objective_is_a_bucket_boundary() -> None:
    bounds = catalogue.HTTP_DURATION.buckets
    assert THRESHOLDS.slo.checkout_most_seconds in bounds
    expressions = [rule["expr"] for rule in rules_of("alerts/rules/slo.yml")]
    good = f'view="{CHECKOUT_VIEW}",method="POST",status!="5xx",le="1.0"'
    bucket = f"{catalogue.HTTP_DURATION.name}_bucket{{{good}}}"
    assert any(bucket in expression for expression in expressions)


def test_every_invariant_has_a_staleness_check() -> None:
    [stale] = [
        rule
        for rule in rules_of("alerts/rules/stock.yml")
        if rule.get("alert") == "RetailAuditStale"
    ]
    covered = re.findall(
        r'absent\(retail_invariant_violations\{invariant="(\w+)"\}\)', stale["expr"]
    )
    assert tuple(covered) == stock.INVARIANTS
    assert set(covered) == set(declared)


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5s"), (90, "90s"), (300, "5m"), (3600, "1h"), (2_592_000, "30d")]
)
def test_durations_are_formatted_as_in_promql(seconds: int, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 second"), (300, "5 minutes"), (3600, "1 hour"), (2_592_000, "30 days")],
)
def test_durations_in_texts_are_words(seconds: int, text: str) -> None:
    assert in_words(seconds) == text

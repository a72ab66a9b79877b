"""The rules are what Python writes, Prometheus understands them, and their unit tests pass."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from alerts import build, stock
from alerts.model import span
from orders.metrics import CHECKOUT_DURATION
from retail.audit.declare import declared
from retail.thresholds import SEVERITIES, THRESHOLDS
from tests.alerts.support import UNIT_TESTS, parsed, rules_of, run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

PROMETHEUS = [path for path in build.FILES if path.startswith("alerts/")]
SERVICES = {"shop", "payments", "worker", "watch"}
DASHBOARDS = {
    "retail-shop",
    "retail-flash-sale",
    "retail-payments",
    "retail-http",
    "retail-jobs",
    "retail-system",
    "retail-logs",
    "retail-slo",
    "retail-watch",
}


@pytest.mark.parametrize("path", build.FILES)
def test_the_committed_rules_are_what_python_writes(path: str) -> None:
    assert (build.ROOT / path).read_text(encoding="utf-8") == build.built()[path], "make generate"


def test_no_rule_file_is_left_over() -> None:
    folders = ("alerts/rules", "loki/rules")
    found = [path for folder in folders for path in (build.ROOT / folder).rglob("*.*")]
    assert {str(path.relative_to(build.ROOT)) for path in found} == set(build.FILES)


def test_prometheus_understands_the_rules(promtool: str) -> None:
    done = run(
        promtool, "check", "rules", "--lint-fatal", *(build.ROOT / path for path in PROMETHEUS)
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def outcomes(promtool: str) -> dict[Path, subprocess.CompletedProcess[str]]:
    """Return what promtool says to each file of unit tests, all run at once."""
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
    assert len(rules) == len(build.alerts()) == 20
    for rule in rules:
        assert set(rule["labels"]) == {"severity", "service"}, rule["alert"]
        assert rule["labels"]["service"] in SERVICES
        assert rule["labels"]["severity"] in {*SEVERITIES, "none"}
        said = rule["annotations"]
        assert list(said) == ["summary", "description", "runbook_url", "dashboard_url", "logs_url"]
        assert "\n" not in said["summary"]
        assert re.search(r"\n1\. .+\n2\. ", said["description"]), "the first steps"
        assert said["runbook_url"] == f"http://localhost:8000/metrics/runbooks/{rule['alert']}/"
        uid, span_shown = said["dashboard_url"].removeprefix("http://localhost:3000/d/").split("?")
        assert (uid in DASHBOARDS, span_shown) == (True, "from=now-1h&to=now"), rule["alert"]
        logs = "http://localhost:3000/d/retail-logs?from=now-1h&to=now"
        assert re.fullmatch(re.escape(logs) + r"(&var-\w+=[^&]+)*", said["logs_url"])


def test_the_alerts_are_those_that_were_promised() -> None:
    severities: dict[str, list[str]] = {}
    for alert in build.alerts():
        severities.setdefault(alert.name, []).append(alert.severity)
    assert severities == {
        "RetailErrorRateHigh": ["critical"],
        "RetailPaymentSuccessLow": ["critical"],
        "RetailCircuitBreakerOpen": ["warning", "critical"],
        "RetailPaymentUnknownStuck": ["critical"],
        "RetailCheckoutBudgetBurn": ["critical", "ticket"],
        "RetailPaymentBudgetBurn": ["critical", "ticket"],
        "RetailStockConflict": ["warning"],
        "RetailOversold": ["critical"],
        "RetailInvariantViolated": ["critical"],
        "RetailAuditStale": ["warning"],
        "RetailQueueStalled": ["warning"],
        "RetailQualityScenarioFailing": ["ticket"],
        "RetailTargetDown": ["critical", "warning"],
        "RetailTelemetryFailing": ["ticket"],
        "Watchdog": ["none"],
        "RetailLogErrorsBurst": ["warning"],
    }


def test_each_of_prometheuss_alerts_is_seen_to_fire_and_seen_not_to() -> None:
    seen: dict[str, set[tuple[str, str]]] = {}
    quiet: set[str] = set()
    for file in UNIT_TESTS:
        for case in parsed(file.read_text(encoding="utf-8"))["tests"]:
            for check in case.get("alert_rule_test", []):
                if not check["exp_alerts"]:
                    quiet.add(check["alertname"])
                for alert in check["exp_alerts"]:
                    labels = alert["exp_labels"]
                    assert len(alert["exp_annotations"]) == 5
                    seen.setdefault(check["alertname"], set()).add(
                        (labels["severity"], labels["service"])
                    )
    wanted: dict[str, set[tuple[str, str]]] = {}
    for path in PROMETHEUS:
        for group in build.FILES[path]:
            for alert in (rule for rule in build.alerts() if rule in group.rules):
                wanted.setdefault(alert.name, set()).add((alert.severity, alert.service))
    assert seen == wanted
    assert quiet == set(wanted) - {"Watchdog"}


def test_what_is_called_recorded_is_recorded() -> None:
    rules = [rule for path in PROMETHEUS for rule in rules_of(path)]
    recorded = [rule["record"] for rule in rules if "record" in rule]
    assert len(recorded) == len(set(recorded)) == 35
    for name in recorded:
        assert re.fullmatch(r"service:retail_\w+:(ratio_)?(rate|increase)\d+[mhd]", name)
    used = {name for rule in rules for name in re.findall(r"service:[\w:]+", rule["expr"])}
    for_dashboards = {name for name in set(recorded) - used if "30d" in name}
    assert used | for_dashboards >= set(recorded) - {
        "service:retail_orders:rate5m",
        "service:retail_payment_attempts:rate5m",
    }
    assert used <= set(recorded)


def test_a_checkout_in_time_is_a_bucket_of_its_histogram() -> None:
    bounds = CHECKOUT_DURATION.buckets
    assert THRESHOLDS.slo.checkout_most_seconds in bounds
    expressions = [rule["expr"] for rule in rules_of("alerts/rules/slo.yml")]
    assert any('le="1.0"' in expression for expression in expressions)


def test_the_audits_promises_are_all_watched() -> None:
    [stale] = [
        rule
        for rule in rules_of("alerts/rules/stock.yml")
        if rule.get("alert") == "RetailAuditStale"
    ]
    watched = re.findall(
        r'absent\(retail_invariant_violations\{invariant="(\w+)"\}\)', stale["expr"]
    )
    assert tuple(watched) == stock.INVARIANTS
    assert set(watched) == set(declared)


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5s"), (90, "90s"), (300, "5m"), (3600, "1h"), (2_592_000, "30d")]
)
def test_times_are_written_as_promql_writes_them(seconds: int, text: str) -> None:
    assert span(seconds) == text

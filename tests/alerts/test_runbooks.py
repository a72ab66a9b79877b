"""Every alert has a runbook and every runbook an alert. Its queries and commands are valid."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from alerts import logs
from alerts.build import ROOT, alerts
from alerts.model import Alert, span
from retail.health import registered
from retail.thresholds import THRESHOLDS
from tests.alerts.support import rules_of, run

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "docs/runbooks"
RUNBOOKS = sorted(FOLDER.glob("*.md"))
WITHOUT = "Without Docker and Prometheus"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", WITHOUT, "Last proven"]


def queries(text: str, language: str) -> list[str]:
    """Return the fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.+?)\n```$", text, re.MULTILINE | re.DOTALL)


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS} == {alert.name for alert in alerts()}


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_is_complete(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.splitlines()[0] == f"# {path.stem}"
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    assert parts[1::2] == SECTIONS
    assert all(part.strip() for part in parts[2::2])
    severities = [alert.severity for alert in alerts() if alert.name == path.stem]
    [stated] = re.findall(r"Severity: (.+)\.\n", parts[0])
    known = "critical|warning|ticket|none"
    assert sorted(re.findall(rf"\b({known})\b", stated)) == sorted(severities)
    assert queries(parts[6], "promql") or queries(parts[6], "logql")
    # It names the unit tests that make the alert fire.
    named = re.findall(r"`(alerts/tests/\w+\.yml)`", parts[-1])
    for test in named:
        assert path.stem in (ROOT / test).read_text(encoding="utf-8")
    of_loki = {
        alert.name for group in logs.GROUPS for alert in group.rules if isinstance(alert, Alert)
    }
    assert bool(named) == (path.stem not in of_loki)
    for other in re.findall(r"\]\((\w+\.md)\)", text):
        assert (FOLDER / other).exists()


def test_prometheus_accepts_the_queries_in_runbooks(promtool: str, tmp_path: Path) -> None:
    expressions = [
        query for path in RUNBOOKS for query in queries(path.read_text(encoding="utf-8"), "promql")
    ]
    assert len(expressions) > 30
    rules = [{"record": f"query:{number}", "expr": expr} for number, expr in enumerate(expressions)]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}), encoding="utf-8")
    done = run(promtool, "check", "rules", file)
    assert done.returncode == 0, done.stderr
    recorded = {
        rule["record"]
        for path in (ROOT / "alerts/rules").glob("*.yml")
        for rule in rules_of(f"alerts/rules/{path.name}")
        if "record" in rule
    }
    used = {name for expr in expressions for name in re.findall(r"service:[\w:]+", expr)}
    assert used
    assert used <= recorded


def test_commands_in_runbooks_and_alerts_exist() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in RUNBOOKS)
    text += "".join(alert.annotations()["description"] for alert in alerts())
    commands = set(re.findall(r"manage\.py (\w+)", text))
    assert commands == {
        "audit",
        "backup",
        "migrate",
        "prune_metrics",
        "worker",
        "dbshell",
        "ingest_feed",
    }
    existing = {path.stem for path in (ROOT / "app").glob("*/management/commands/*.py")}
    assert commands - {"migrate", "dbshell"} <= existing  # those two are Django's


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_gives_a_way_without_docker_and_prometheus(path: Path) -> None:
    text = path.read_text(encoding="utf-8").partition(f"## {WITHOUT}\n")[2].partition("\n## ")[0]
    assert not re.search("docker|promql|logql|Grafana|:9090|:9093", text)
    assert re.search(r"dashboard|alerts page|/metrics/|`manage\.py \w+|logs/application\.log", text)
    logged = (ROOT / "docs/logging.md").read_text(encoding="utf-8")
    for start, ends in re.findall(r"event=([a-z_]+\.[a-z_]*)(?:\(([a-z_|]+)\))?", text):
        for end in ends.split("|"):
            assert f"`{start}{end}`" in logged
    checks = set(re.findall(r"check\*?s? \*([\w ]+)\*", text))
    assert checks <= set(registered)


def test_queries_that_need_a_threshold_have_that_of_the_file() -> None:
    slo = THRESHOLDS.slo
    objectives = {
        "RetailCheckoutBudgetBurn": ("retail_checkout", slo.checkout_objective_ratio),
        "RetailPaymentBudgetBurn": ("retail_payment_call", slo.payment_objective_ratio),
    }
    for name, (events, objective) in objectives.items():
        text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
        for seconds in (slo.burns[0].long_seconds, slo.period_seconds):
            share = f"service:{events}_errors:ratio_rate{span(seconds)}"
            assert f"{share} / {round(1 - objective, 6):g}\n" in text


def test_runbooks_name_tables_of_thresholds_that_exist() -> None:
    tables = {field.name for field in fields(THRESHOLDS)} | {"[slo.burns]"}
    for path in RUNBOOKS:
        named = re.findall(r"`\[(\S+)\]`", path.read_text(encoding="utf-8"))
        assert set(named) <= tables, path.name

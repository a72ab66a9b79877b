"""Rule files and promtool, for the tests of alerts."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import yaml

from alerts.build import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Labels = dict[str, str]

# Only a program that hangs takes this long, even on a busy machine.
HANGS_AFTER = 900  # seconds
UNIT_TESTS = sorted((ROOT / "alerts/tests").glob("*.yml"))


def rules_of(path: str) -> list[dict[str, Any]]:
    """Return the rules of a committed rule file."""
    groups = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program and capture its output. A failure does not raise."""
    environment = os.environ | {"GOGC": "400"}  # saves promtool a fifth of its time
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER,
        check=False,
    )


def concerns(case: dict[str, Any], name: str) -> bool:
    """Return whether a unit test covers an alert."""
    expressions = [check["expr"] for check in case.get("promql_expr_test", [])]
    tested = [check["alertname"] for check in case.get("alert_rule_test", [])]
    counted = [expr for expr in expressions if "ALERTS" in expr]
    return name in tested or any(name in expr or "alertname=" not in expr for expr in counted)


def passes(promtool: str, folder: Path, rules: Iterable[Any], case: Any, every: str) -> bool:
    """Return whether rules pass a unit test. The files are JSON, which is valid YAML."""
    group = {"name": "mutant", "rules": list(rules)}
    (folder / "rules.yml").write_text(json.dumps({"groups": [group]}), encoding="utf-8")
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": every, "tests": [case]}
    (folder / "tests.yml").write_text(json.dumps(tests), encoding="utf-8")
    return run(promtool, "test", "rules", folder / "tests.yml").returncode == 0


def alert(name: str, severity: str, **labels: str) -> Labels:
    """Return the labels of an alert."""
    return {"alertname": name, "severity": severity, **labels}


def key(labels: Labels) -> str:
    """Return a text that identifies an alert."""
    return " ".join(value for _, value in sorted(labels.items()))

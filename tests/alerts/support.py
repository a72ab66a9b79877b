"""Rule files and promtool, for tests of the alerts."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from alerts.build import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

UNIT_TESTS = sorted((ROOT / "alerts/tests").glob("*.yml"))


def parsed(text: str) -> Any:
    """Return what a YAML text says."""
    return YAML(typ="safe", pure=True).load(text)


def rules_of(path: str) -> list[dict[str, Any]]:
    """Return the rules of a committed rule file."""
    groups = parsed((ROOT / path).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program; its words are part of the result."""
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def concerns(case: dict[str, Any], name: str) -> bool:
    """Whether a unit test says something about an alert."""
    expressions = [one["expr"] for one in case.get("promql_expr_test", [])]
    named = [one["alertname"] for one in case.get("alert_rule_test", [])]
    counted = [expression for expression in expressions if "ALERTS" in expression]
    return name in named or any(name in one or "alertname=" not in one for one in counted)


def passes(promtool: str, folder: Path, rules: Iterable[Any], cases: Any, every: str) -> bool:
    """Whether rules pass some unit tests; the files are JSON, which is YAML too."""
    group = {"name": "mutant", "rules": list(rules)}
    (folder / "rules.yml").write_text(json.dumps({"groups": [group]}), encoding="utf-8")
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": every, "tests": cases}
    (folder / "tests.yml").write_text(json.dumps(tests), encoding="utf-8")
    return run(promtool, "test", "rules", folder / "tests.yml").returncode == 0

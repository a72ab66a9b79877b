"""Mutation tests: a rule with a different threshold, duration or name fails its unit tests.

ALERT_MUTANTS=all tries every mutation of every alert and takes minutes. The default is one each.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alerts.build import ROOT
from tests.alerts.support import concerns, passes, rules_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

ALL = os.environ.get("ALERT_MUTANTS") == "all"
FILES = sorted(path.stem for path in (ROOT / "alerts/rules").glob("*.yml"))
QUICK = [(name, name) for name in FILES if name != "slo"]
SLOW = [("slo", "slo_hours", "slo_days", "slo")]
NUMBER = re.compile(r"(?<=[<>=] )[\d.]+(?: \* [\d.]+)?(?![\d.\w])")
NAME = re.compile(r"(?<![\w:])(?:service:)?retail_\w+(?::\w+)?|\bup\b")

Rule = dict[str, Any]


def mutants(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Yield copies of an alert with one thing changed, each with a description of the change."""
    expr = rule["expr"]
    for pattern, prefixes in ((NUMBER, ("1.25 *", "0.8 *", "1 +")), (NAME, ("x_",))):
        for match in pattern.finditer(expr):
            for prefix in prefixes:
                if (prefix == "1 +") != (match[0] == "0"):
                    continue  # multiplying zero changes nothing
                changed = f"{prefix} {match[0]}" if pattern is NUMBER else prefix + match[0]
                mutated = expr[: match.start()] + changed + expr[match.end() :]
                yield f"{changed} at {match.start()}", {**rule, "expr": mutated}
    units = {"s": 1, "m": 60, "h": 3600}
    if duration := rule.get("for"):
        seconds = int(duration[:-1]) * units[duration[-1]]
        yield "half the duration", {**rule, "for": f"{seconds // 2}s"}
        yield "twice the duration", {**rule, "for": f"{seconds * 2}s"}
    else:
        yield "a duration", {**rule, "for": "2m"}


def survivors(
    promtool: str, folder: Path, rules_file: str, tests_files: Iterable[str]
) -> list[str]:
    """Return the mutations of a file's alerts that no unit test detects."""
    rules = rules_of(f"alerts/rules/{rules_file}.yml")
    alive = []
    alerting = [rule for rule in rules if "alert" in rule]
    assert alerting, rules_file
    for rule in alerting:
        name = rule["alert"]
        # The recordings and this alert are enough, unless a test counts all alerts.
        used = [other for other in rules if ALL or other.get("alert", name) == name]
        suites = [read(file, None if ALL else name) for file in tests_files]
        assert all(passes(promtool, folder, used, *suite) for suite in suites), f"{name} unchanged"
        changes = list(mutants(rule))[: None if ALL else 1]
        assert changes, name
        for change, mutant in changes:
            mutated = [mutant if other is rule else other for other in used]
            if all(passes(promtool, folder, mutated, *suite) for suite in suites):
                alive.append(f"{name} {rule['labels']['severity']}: {change}")
    return alive


def read(file: str, name: str | None) -> tuple[Any, str]:
    """Return a file's unit tests, or only those of one alert, and the evaluation interval."""
    tests = yaml.safe_load((ROOT / f"alerts/tests/{file}.yml").read_text(encoding="utf-8"))
    cases = tests["tests"]
    if name:
        cases = [case for case in cases if concerns(case, name)]
        for case in cases:
            checks = case.get("alert_rule_test", [])
            case["alert_rule_test"] = [check for check in checks if check["alertname"] == name]
    return cases, tests["evaluation_interval"]


@pytest.mark.parametrize("names", [*QUICK, *(SLOW if ALL else [])], ids=lambda names: names[0])
def test_the_unit_tests_detect_every_mutation(
    promtool: str, tmp_path: Path, names: tuple[str, ...]
) -> None:
    assert survivors(promtool, tmp_path, names[0], names[1:]) == []

"""Mutation tests: a rule with a different threshold, duration or name fails its unit tests.

ALERT_MUTANTS=all tries every mutation of every alert and takes minutes. The default is one each.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alerts.build import ROOT
from tests.alerts.support import concerns, passes, rules_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALL = os.environ.get("ALERT_MUTANTS") == "all"
FILES = sorted(path.stem for path in (ROOT / "alerts/rules").glob("*.yml"))
# The files of unit tests, if a rule file has several: what detects most at the least cost first.
SEVERAL = {
    "quiet_hours": ("quiet_hours", "quiet_hours_long"),
    "slo": ("slo_hours", "slo_days", "slo"),
    "traffic": ("traffic_days", "traffic"),
}
CHOSEN = [name for name in FILES if ALL or name != "slo"]
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


def survivors(promtool: str, folder: Path, rules_file: str) -> list[str]:
    """Return the mutations of a file's alerts that no unit test detects."""
    rules = rules_of(f"alerts/rules/{rules_file}.yml")
    alive = []
    alerting = [rule for rule in rules if "alert" in rule]
    assert alerting, rules_file
    tests_files = SEVERAL.get(rules_file, (rules_file,))
    for rule in alerting:
        name = rule["alert"]
        cases = [case for file in tests_files for case in read(file, None if ALL else name)]
        # The alert and the recordings are enough that it or a test reads, unless a test counts all
        # alerts.
        used = rules if ALL else with_recordings(rules, name, json.dumps(cases))
        changes = list(mutants(rule))[: None if ALL else 1]
        assert changes, name
        for change, mutant in changes:
            mutated = [mutant if other is rule else other for other in used]
            # One at a time: the first that fails is enough.
            failing = (case for case in cases if not passes(promtool, folder, mutated, *case))
            detected_by = next(failing, None)
            if detected_by is None:
                alive.append(f"{name} {rule['labels']['severity']}: {change}")
            else:
                assert passes(promtool, folder, used, *detected_by), f"{name} unchanged"
    return alive


def with_recordings(rules: list[Rule], name: str, cases: str) -> list[Rule]:
    """Return an alert's rules, after the recordings that they or the cases read in any way."""
    used: list[Rule] = []
    for rule in reversed(rules):
        recorded = rule.get("record")
        if rule.get("alert") == name or (
            recorded and any(recorded in text for text in (cases, *(it["expr"] for it in used)))
        ):
            used.insert(0, rule)
    return used


def read(file: str, name: str | None) -> list[tuple[Any, str]]:
    """Return a file's unit tests, or only those of one alert, with the evaluation interval."""
    tests = yaml.safe_load((ROOT / f"alerts/tests/{file}.yml").read_text(encoding="utf-8"))
    cases = tests["tests"]
    if name:
        cases = [case for case in cases if concerns(case, name)]
        for case in cases:
            checks = case.get("alert_rule_test", [])
            case["alert_rule_test"] = [check for check in checks if check["alertname"] == name]
    return [(case, tests["evaluation_interval"]) for case in cases]


@pytest.mark.parametrize("rules_file", CHOSEN)
def test_the_unit_tests_detect_every_mutation(
    promtool: str, tmp_path: Path, rules_file: str
) -> None:
    assert survivors(promtool, tmp_path, rules_file) == []

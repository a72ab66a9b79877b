"""The unit tests are worth something: a rule with another threshold, time or name fails them.

ALERT_MUTANTS=all tries every change of every alert, which takes minutes; else it is one of each.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from alerts.build import ROOT
from tests.alerts.support import concerns, parsed, passes, rules_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

ALL = os.environ.get("ALERT_MUTANTS") == "all"
QUICK = [(name, name) for name in ("answers", "payments", "quality", "stock", "watch")]
SLOW = [("slo", "slo_hours", "slo_days", "slo")]
NUMBER = re.compile(r"(?<=[<>=] )[\d.]+(?: \* [\d.]+)?(?![\d.\w])")
NAME = re.compile(r"(?<![\w:])(?:service:)?retail_\w+(?::\w+)?|\bup\b")

Rule = dict[str, Any]


def mutants(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Yield an alert with one thing changed, and what that is."""
    expr = rule["expr"]
    for pattern, changes in ((NUMBER, ("1.25 *", "0.8 *", "1 +")), (NAME, ("x_",))):
        for found in pattern.finditer(expr):
            for change in changes:
                if (change == "1 +") != (found[0] == "0"):
                    continue  # of nothing, a fourth more is nothing
                told = f"{change} {found[0]}" if pattern is NUMBER else change + found[0]
                changed = expr[: found.start()] + told + expr[found.end() :]
                yield f"{told} at {found.start()}", {**rule, "expr": changed}
    seconds = {"s": 1, "m": 60, "h": 3600}
    if time := rule.get("for"):
        usual = int(time[:-1]) * seconds[time[-1]]
        yield "half the time", {**rule, "for": f"{usual // 2}s"}
        yield "twice the time", {**rule, "for": f"{usual * 2}s"}
    else:
        yield "a time", {**rule, "for": "2m"}


def survivors(
    promtool: str, folder: Path, rules_file: str, tests_files: Iterable[str]
) -> list[str]:
    """Return what can be changed in a file's alerts without a unit test noticing."""
    rules = rules_of(f"alerts/rules/{rules_file}.yml")
    alive = []
    changed_rules = [one for one in rules if "alert" in one]
    assert changed_rules, rules_file
    for rule in changed_rules:
        name = rule["alert"]
        # The recordings and this alert are enough, unless all alerts are counted.
        used = [one for one in rules if ALL or one.get("alert", name) == name]
        plays = [read(file, None if ALL else name) for file in tests_files]
        assert all(passes(promtool, folder, used, *play) for play in plays), f"{name} as it is"
        tried = list(mutants(rule))[: None if ALL else 1]
        assert tried, name
        for what, mutant in tried:
            changed = [mutant if one is rule else one for one in used]
            if all(passes(promtool, folder, changed, *play) for play in plays):
                alive.append(f"{name} {rule['labels']['severity']}: {what}")
    return alive


def read(file: str, name: str | None) -> tuple[Any, str]:
    """Return a file's unit tests, or those of one alert, and how often rules are read."""
    tests = parsed((ROOT / f"alerts/tests/{file}.yml").read_text(encoding="utf-8"))
    cases = tests["tests"]
    if name:
        cases = [case for case in cases if concerns(case, name)]
        for case in cases:
            said = case.get("alert_rule_test", [])
            case["alert_rule_test"] = [one for one in said if one["alertname"] == name]
    return cases, tests["evaluation_interval"]


@pytest.mark.parametrize("names", [*QUICK, *(SLOW if ALL else [])], ids=lambda names: names[0])
def test_no_changed_alert_passes_its_unit_tests(
    promtool: str, tmp_path: Path, names: tuple[str, ...]
) -> None:
    assert survivors(promtool, tmp_path, names[0], names[1:]) == []

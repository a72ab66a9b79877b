"""Thresholds are defined only in thresholds.toml.

Each value is changed in turn, and every place that shows it must change. Then all values are
changed, and no old one may be left. Handwritten texts must not state a threshold.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import subprocess
import sys
import tokenize
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retail.thresholds import FILE
from tests.contracts.mentions import PROSE, QUERY, leaves, stated
from tests.contracts.rendered import PLACES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.contracts.mentions import Path as Steps

ROOT = Path(__file__).resolve().parents[2]
TOML = tomllib.loads(FILE.read_text(encoding="utf-8"))
QS, DOCUMENTED = "QS-Catalog.md scenarios", "metrics.md gauges"

# Places that must change with each value; the values not listed are only in rules.
FOLLOW = {
    "error_rate.most_ratio": f"rules grafana dashboard {QS}",
    "error_rate.warning_ratio": "grafana dashboard",
    "error_rate.window_seconds": "rules grafana",
    "error_rate.for_seconds": "rules grafana dashboard",
    "error_rate.least_requests": "rules grafana dashboard",
    "response_time.warning_seconds": "grafana dashboard",
    "response_time.most_seconds": f"grafana dashboard {QS}",
    "payment_success.least_ratio": f"rules grafana dashboard {QS}",
    "payment_success.warning_ratio": "grafana dashboard",
    "payment_success.window_seconds": "rules grafana",
    "payment_success.for_seconds": "rules grafana dashboard",
    "payment_success.least_payments": "rules grafana dashboard",
    "fast_fail.most_seconds": f"grafana {QS}",
    "fast_fail.least_ratio": f"grafana {QS}",
    "stock_conflicts.most_conflicts": f"rules grafana dashboard {QS}",
    "stock_conflicts.window_seconds": "rules grafana",
    "oversold.most_units": f"rules grafana {QS}",
    "circuit_breaker.window_seconds": "rules grafana",
    "backups.most_age_seconds": "rules grafana",
    "unknown_payments.most_age_seconds": f"rules grafana dashboard api audit {QS}",
    **dict.fromkeys(
        (
            *("feeds.most_rejects_ratio", "feeds.most_repriced_ratio", "feeds.most_price_factor"),
            *("feeds.most_sold_out_ratio", "feeds.least_products", "feeds.least_rows_ratio"),
        ),
        "feeds",
    ),
    "held_feeds.most_age_seconds": "rules grafana",
    "feed_rejects.most_ratio": "rules grafana",
    "feed_rejects.window_seconds": "rules grafana",
    "flash_payments.most_seconds": QS,
    "flash_payments.least_ratio": QS,
    "invariants.most_violations": "rules grafana",
    "invariants.stale_after_seconds": f"rules grafana {DOCUMENTED} scenarios",
    "queue.most_waiting_seconds": f"rules grafana dashboard {QS}",
    "queue.warning_waiting_seconds": "grafana",
    "queue.for_seconds": "rules grafana",
    "emails.most_waiting_seconds": "rules grafana dashboard",
    "emails.for_seconds": "rules grafana",
    "targets.warning_for_seconds": "rules grafana",
    "worker.silent_after_seconds": "dashboard readyz",
    "rollups.late_after_seconds": "dashboard",
    "gateway.silent_after_seconds": "dashboard",
    "watchdog.late_after_seconds": "alerts dashboard",
    "disk.warning_free_ratio": "rules grafana dashboard",
    "disk.least_free_ratio": "rules grafana dashboard",
    "telemetry.window_seconds": "rules grafana",
    "log_errors.most_lines": "rules grafana",
    "log_errors.window_seconds": "rules grafana",
    "quality_scenarios.keep_seconds": f"{DOCUMENTED} scenarios",
    "slo.period_seconds": "rules grafana",
    "slo.base_seconds": "rules grafana",
    "slo.checkout_objective_ratio": "rules grafana",
    "slo.checkout_most_seconds": "rules grafana",
    "slo.payment_objective_ratio": "rules grafana",
    "slo.burns.factor": "rules grafana",
    "slo.burns.long_seconds": "rules grafana",
    "slo.burns.severity": "rules grafana",
}

# Numbers that equal a threshold but mean something else.
NOT_THRESHOLDS = {
    r"--since \d+[mhd]|now-\d+h": "how far back a command or a link looks",
    r"interval: (30s|1m|5m)$": "how often rules are evaluated",
    r"\[1d\]": "how far back a value is looked up across a gap",
    r"\[1h\] offset \d+h30m\)|\* 3600 >=": "an hour, a day or a week ago",
    r"(\* 60|/ 5)(?= and| or| > 0|\)|$)": "per minute",
    r"var-text=\S+": "what a link searches for",
    r"[Uu]pdated every 1 minute": "how often rules are evaluated",
    r"(jobs_total|seconds_bucket|pg_stat\w+)(\{[^}]*\})?\[5m\]": "a panel's own window",
    r"alertmanager_notifications\w*_total\[5m\]|feed_ingestions_total\[1h\]": "the same",
    r"Ratio of blocks .+ the last 5 minutes|above 99 %|^value: 0\.99": "PostgreSQL's cache",
    r"^value: 0\.1$": "a panel's own limit",
    r"^axisSoftMax: [25]$": "a scale",
    r"\]\) / 2,": "changes that come in pairs",
    r"24 hours|30 days": "a page's range",
    r"up to [\d., ]+ ms|bounds at [\d, and]+ ms|which \d+ %": "a histogram's",
    r"reads the rows of the last 15 minutes": "how far each rollup looks back",
    r"none in an hour means": "not a threshold",
}
NOT_IN_SOURCES = {
    r"24 hours|30 days|at most 6 hours": "a page's range",
    r"bounds at [\d, and]+ ms|which \d+ %": "a histogram's",
    r"Ratio of blocks .+ the last 5 minutes|above 99 %": "PostgreSQL's cache",
    r"none in an hour means": "not a threshold",
    r"about ten minutes": "how long a test takes",
    r"(for|than|within|after) an hour[:. <]": "a link's life; and a jug",
    r"for a minute or so": "how late a message may be",
    r"one in two minutes": "how many intervals there are",
    r"than a minute|1 h 12 min|`15 minutes`, `1 hour`, `0\.5 seconds`": "how times are written",
    r'"1 minute", "5 minutes"': "the same",
    r"and 1 h after the|known to five minutes, so after 55 to 60 minutes": "sessions of staff",
    r"exact to five minutes": "the same",
    r"a wait of 1 s that|off by more than 30 s": "codes of the second factor",
}
GENERATED = {"metrics.md", "QS-Catalog.md"}
SEPARATE_PROGRAMS = {"gateway_simulator", "migrations", "static"}


def name(path: Steps) -> str:
    return ".".join(step for step in path if isinstance(step, str))


def other(path: Steps, value: Any) -> Any:
    """Return another plausible value that no threshold of the same unit has."""
    unit = str(path[-1]).rpartition("_")[2]
    if isinstance(value, str):
        return {"critical": "ticket", "ticket": "critical"}[value]
    if unit == "seconds":
        return value * 7
    if unit == "ratio":
        return round(value * 4 if value < 0.5 else 1 - (1 - value) * 4, 6)
    return value + 7


def changed(*paths: Steps) -> dict[str, Any]:
    """Return the file with other values at these places."""
    tables: Any = deepcopy(TOML)
    for path in paths:
        node = tables
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = other(path, node[path[-1]])
    return dict(tables)


VALUES = [path for path, _ in leaves(TOML)]
Texts = dict[str, list[str]]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[Steps, Texts]:
    """Return all texts: unchanged, with each value changed, and with all changed (`("*",)`)."""
    everything = list(PLACES)
    jobs: dict[Steps, Any] = {
        (): (TOML, everything),
        ("*",): (changed(*VALUES), everything),
        **{path: (changed(path), FOLLOW.get(name(path), "rules").split()) for path in VALUES},
    }
    folder = tmp_path_factory.mktemp("rendered")
    done = subprocess.run(
        [sys.executable, "-m", "tests.contracts.rendered", str(folder)],
        input=json.dumps(list(jobs.values())),
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'app'}:{ROOT}", "DEBUG": "True"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(jobs, json.loads((folder / "texts.json").read_text("utf-8")), strict=True))


def test_every_threshold_has_its_places() -> None:
    assert FOLLOW.keys() <= {name(path) for path in VALUES}
    assert {place for places in FOLLOW.values() for place in places.split()} == PLACES.keys()


@pytest.mark.parametrize("path", VALUES, ids=lambda path: ".".join(map(str, path)))
def test_a_changed_value_changes_its_places(path: Steps, texts: dict[Steps, Texts]) -> None:
    same = {place for place, lines in texts[path].items() if lines == texts[()][place]}
    assert not same, f"{name(path)} changed, and these did not: {same}"


def plain(text: str) -> str:
    """Return a text on one line, without code blocks."""
    return " ".join(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL).split())


def without(line: str, patterns: Iterable[str]) -> str:
    return re.sub("|".join(patterns), "…", line)


def unused(patterns: Iterable[str], lines: Iterable[str]) -> list[str]:
    """Return the patterns that match no line."""
    everything = list(lines)
    return [it for it in patterns if not any(re.search(it, line) for line in everything)]


def test_no_old_number_is_shown_when_all_values_have_changed(texts: dict[Steps, Texts]) -> None:
    shown = [(place, " ".join(line.split())) for place in PLACES for line in texts[("*",)][place]]
    left = [
        f"{place}: {text!r} in {line}"
        for place, line in shown
        for text, _ in stated([without(line, NOT_THRESHOLDS)], TOML, PROSE | QUERY)
    ]
    assert not left, "\n".join(left)
    assert unused(NOT_THRESHOLDS, (line for _, line in shown)) == []


def sources() -> Iterator[tuple[str, str]]:
    """Yield handwritten texts: prose, templates, and strings and comments of Python files."""
    docs = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "adr"]
    pages = [*(ROOT / "app").rglob("*.html"), *(ROOT / "app").rglob("*.txt")]
    prose = [
        ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", ".env.example")
    ]
    for path in (*docs, *pages, *prose):
        if path.name not in GENERATED:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    yield FILE.name, " ".join(re.findall(r"#(.*)", FILE.read_text(encoding="utf-8")))
    for folder in ("app", "alerts", "grafana"):
        for path in (ROOT / folder).rglob("*.py"):
            if not SEPARATE_PROGRAMS & set(path.parts):
                yield str(path.relative_to(ROOT)), "\n".join(texts_of(path.read_text("utf-8")))


def texts_of(code: str) -> Iterator[str]:
    """Yield the strings and comments of a Python file."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value + "."
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            yield token.string.lstrip("# ")


def test_no_handwritten_text_states_a_threshold() -> None:
    handwritten = dict(sources())
    assert {"README.md", "docs/runbooks/Watchdog.md", "app/orders/audit.py"} <= handwritten.keys()
    sentences = [
        (path, line)
        for path, text in handwritten.items()
        for line in re.split(r"(?<=[.:|;]) ", plain(text))
    ]
    left = [
        f"{path}: {text!r} in {line[:200]}"
        for path, line in sentences
        for text, _ in stated([without(line, NOT_IN_SOURCES)], TOML, PROSE)
    ]
    assert not left, "\n".join(left)
    assert unused(NOT_IN_SOURCES, (line for _, line in sentences)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Unknown for over 15 min, counted as failed", {"15 min"}),
        ("when the audit has not looked for ten minutes.", {"ten minutes"}),
        ("Seen within the last half minute.", {"half minute"}),
        ("a job has waited for a minute", {"for a minute"}),
        ("after 1 hour, 2 h or 7 days", {"1 hour", "2 h"}),
        ("More than 5% of the answers, 97.5 %", {"5%"}),
        ("of at least 20 in 5\u00a0minutes", {"at least 20", "5\u00a0minutes"}),
        ("max(retail_payments_unknown_oldest_seconds) > 900", {"> 900"}),
        ("1 - service:retail_errors:ratio_rate5m / 0.005", {"5m", "/ 0.005"}),
        ("value: 0.95", {"value: 0.95"}),
        ("Answers per second, 25 of 95 in 7 minutes, a second look, VT-300", set()),
    ],
)
def test_a_number_is_found_in_every_notation(text: str, expected: set[str]) -> None:
    assert {mention for mention, _ in stated([text], TOML, PROSE | QUERY)} == expected

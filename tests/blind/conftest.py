"""The stage, and the table of faults that is printed at the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.blind.stage import Stage, found, open_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.left_out import LeaveOut

# The rules' windows and times are divided by this, and so are the intervals of their evaluation.
SPEED = float(os.environ.get("BLIND_SPEED", "5"))
TITLE = "WHAT REPORTS A FAULT (times are those of the rules: measured, multiplied by the speed)"
COLUMNS = ("fault", "first alert", "after", "dashboard", "API", "quality page", "/readyz")

PACKAGES = {
    "prometheus": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "blackbox-exporter": "prometheus-blackbox-exporter",
}

rows: list[tuple[str, ...]] = []


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, left_out: LeaveOut) -> Iterator[Stage]:
    for name, package in PACKAGES.items():
        if not found(name):
            how = f"sudo apt-get install --no-install-recommends {package}"
            left_out(name, "no fault is staged in front of the real monitoring", how)
    with open_stage(tmp_path_factory.mktemp("blind"), SPEED) as opened:
        yield opened


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not rows:
        return
    table = [COLUMNS, *rows]
    widths = [max(map(len, column)) + 2 for column in zip(*table, strict=True)]
    terminalreporter.section(TITLE)
    for line in table:
        text = "".join(word.ljust(width) for word, width in zip(line, widths, strict=True))
        terminalreporter.line(text.rstrip())

"""Alertmanager's programs, which Debian packs together."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.left_out import LeaveOut

HOW = "sudo apt-get install --no-install-recommends prometheus-alertmanager"


@pytest.fixture(scope="session")
def amtool(left_out: LeaveOut) -> str:
    """Return the path of Alertmanager's own checking tool."""
    return shutil.which("amtool") or left_out(
        "amtool", "who hears of which alert is not checked with Alertmanager's own parser", HOW
    )


@pytest.fixture(scope="session")
def alertmanager(left_out: LeaveOut) -> str:
    """Return the path of Alertmanager itself."""
    found = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    return found or left_out(
        "alertmanager", "what a firing alert silences is not tried in a real Alertmanager", HOW
    )

"""Alertmanager's programs. Debian ships both in one package."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.left_out import LeaveOut

HOW = "sudo apt-get install --no-install-recommends prometheus-alertmanager"


@pytest.fixture(scope="session")
def amtool(left_out: LeaveOut) -> str:
    """Return the path of amtool, Alertmanager's command-line tool."""
    return shutil.which("amtool") or left_out(
        "amtool", "alert routing is not checked with Alertmanager's own parser", HOW
    )


@pytest.fixture(scope="session")
def alertmanager(left_out: LeaveOut) -> str:
    """Return the path of Alertmanager itself."""
    path = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    return path or left_out(
        "alertmanager", "inhibition is not tested in a running Alertmanager", HOW
    )

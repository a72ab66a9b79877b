"""Alertmanager's programs. Debian ships both in one package."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from alerts import render
from tests.alerts.running import Alertmanager, running_alertmanager
from tests.alerts.test_render import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of Alertmanager's configuration, rendered with every channel."""
    folder = tmp_path_factory.mktemp("rendered")
    render.write(
        render.rendered(render.read({**CHANNELS, "DEBUG": "True", "ALERTS_TOKEN": "notify-me"})),
        folder,
    )
    return folder / "alertmanager/alertmanager.yml"


@pytest.fixture(scope="module")
def running(
    alertmanager: str, config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alertmanager]:
    """Run Alertmanager with this configuration."""
    folder = tmp_path_factory.mktemp("alertmanager")
    with running_alertmanager(alertmanager, config, folder) as program:
        yield program

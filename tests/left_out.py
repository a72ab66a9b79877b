"""A pytest plugin for tests that need PostgreSQL or a tool that may be missing."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

LeaveOut = Callable[[str, str, str], NoReturn]
_LEFT_OUT = pytest.StashKey[dict[str, tuple[str, str]]]()


def _postgres_tests(config: pytest.Config) -> Path:
    return config.rootpath / "tests" / "postgres"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LEFT_OUT] = {}
    config.addinivalue_line("markers", "postgres: needs PostgreSQL (all of tests/postgres)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignore tests/postgres unless the database is PostgreSQL."""
    on_postgres = os.environ.get("DATABASE_URL", "").startswith(("postgres:", "postgresql:"))
    return True if collection_path == _postgres_tests(config) and not on_postgres else None


@pytest.hookimpl(tryfirst=True)  # before pytest evaluates the -m option
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _postgres_tests(config) in item.path.parents:
            item.add_marker("postgres")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In an xdist worker, send what was left out to the controller, which prints the summary."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = session.config.stash[_LEFT_OUT]


@pytest.hookimpl(optionalhook=True)  # a hook of pytest-xdist
def pytest_testnodedown(node: Any) -> None:
    """Merge what a worker left out; a crashed one has sent nothing."""
    received = getattr(node, "workeroutput", {}).get("left_out", {})
    node.config.stash[_LEFT_OUT].update({tool: tuple(row) for tool, row in received.items()})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = terminalreporter.config.stash[_LEFT_OUT]
    if not left_out:
        return
    terminalreporter.section("LEFT OUT", sep="!", red=True, bold=True)
    terminalreporter.line("Some tests did not run, because a tool is missing:")
    for tool, (why, command) in sorted(left_out.items()):
        terminalreporter.line(f"  {tool}: {why}")
        terminalreporter.line(f"    install it: {command}")


@pytest.fixture(scope="session")
def left_out(pytestconfig: pytest.Config) -> LeaveOut:
    """Return `left_out(tool, why, command)`, which skips a test because a tool is missing.

    It takes the tool's name, what is not tested without it, and the command that installs it. The
    summary of the run lists the tool; with CI=true, the test fails instead.
    """

    def leave_out(tool: str, why: str, command: str) -> NoReturn:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{tool} is missing: {why}. Install it: {command}", pytrace=False)
        pytestconfig.stash[_LEFT_OUT][tool] = (why, command)
        pytest.skip(f"{tool} is missing")

    return leave_out


@pytest.fixture(scope="session")
def promtool(left_out: LeaveOut) -> str:
    """Return the path of promtool."""
    return shutil.which("promtool") or left_out(
        "promtool",
        "metrics and alert rules are not checked with Prometheus' own parser",
        "sudo apt-get install --no-install-recommends prometheus",
    )

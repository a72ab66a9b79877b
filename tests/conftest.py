"""What all tests share: tools that may be missing, and tests that need PostgreSQL."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from tests.support import ScriptedGateway

POSTGRES_TESTS = Path(__file__).parent / "postgres"

LeaveOut = Callable[[str, str, str], NoReturn]
_LEFT_OUT = pytest.StashKey[dict[str, tuple[str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LEFT_OUT] = {}
    # What tests log is not the shop's log.
    for handler in [one for one in logging.root.handlers if one.get_name() == "file"]:
        logging.root.removeHandler(handler)
    config.addinivalue_line("markers", "postgres: needs PostgreSQL (all of tests/postgres)")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave tests/postgres alone unless the shop's database is PostgreSQL."""
    on_postgres = os.environ.get("DATABASE_URL", "").startswith(("postgres:", "postgresql:"))
    return True if collection_path == POSTGRES_TESTS and not on_postgres else None


@pytest.hookimpl(tryfirst=True)  # before pytest looks at the markers for its -m option
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if POSTGRES_TESTS in item.path.parents:
            item.add_marker("postgres")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = terminalreporter.config.stash[_LEFT_OUT]
    if not left_out:
        return
    terminalreporter.section("LEFT OUT", sep="!", red=True, bold=True)
    terminalreporter.line("Some tests did not run, because this machine lacks a tool:")
    for tool, (why, command) in sorted(left_out.items()):
        terminalreporter.line(f"  {tool}: {why}")
        terminalreporter.line(f"    install it: {command}")


@pytest.fixture(scope="session")
def left_out(pytestconfig: pytest.Config) -> LeaveOut:
    """Return `left_out(tool, why, command)`, which ends a test that lacks a tool.

    It takes the tool's name, what is not tested without it, and the command that installs it. The
    test is skipped and the end of the run says so loudly; with CI=true it fails instead.
    """

    def leave_out(tool: str, why: str, command: str) -> NoReturn:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{tool} is missing: {why}. Install it: {command}", pytrace=False)
        pytestconfig.stash[_LEFT_OUT][tool] = (why, command)
        pytest.skip(f"{tool} is missing")

    return leave_out


@pytest.fixture(scope="session")
def promtool(left_out: LeaveOut) -> str:
    """Return the path of Prometheus's own checking tool."""
    return shutil.which("promtool") or left_out(
        "promtool",
        "metrics and alert rules are not checked with Prometheus's own parser",
        "sudo apt-get install --no-install-recommends prometheus",
    )


@pytest.fixture(autouse=True)
def _careful_telemetry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a mistake in telemetry fail the test, and rows wait until the test asks for them."""
    from django.contrib.auth.hashers import get_hashers  # noqa: PLC0415 - tools need no Django
    from django.core.cache import cache  # noqa: PLC0415

    from retail.observability import exposition, instruments, recording  # noqa: PLC0415

    # Hashing passwords the way production must would be most of the tests' time.
    hashers = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    monkeypatch.setattr("django.conf.settings.PASSWORD_HASHERS", hashers)
    get_hashers.cache_clear()  # type: ignore[attr-defined]
    monkeypatch.setattr(instruments.telemetry, "strict", True)
    monkeypatch.setattr(recording.recorder, "use_thread", False)
    recording.recorder.after_fork()  # begin with no rows waiting
    exposition.truths.forget()
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def scripted_gateway(monkeypatch: pytest.MonkeyPatch) -> ScriptedGateway:
    """Put a gateway that does as it is told in the place of the HTTP client."""
    from payments import gateway, services  # noqa: PLC0415 - Django comes first
    from tests.support import ScriptedGateway  # noqa: PLC0415

    scripted = ScriptedGateway()
    monkeypatch.setattr(gateway, "charge", scripted.charge)
    monkeypatch.setattr(gateway, "cancel", scripted.cancel)
    monkeypatch.setattr(services, "BACKOFF_SECONDS", 0)
    return scripted

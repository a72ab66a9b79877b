"""A missing tool is skipped loudly on a developer's machine and fails in CI; tests/postgres."""

from pathlib import Path

import pytest

from tests import left_out

pytest_plugins = ["pytester"]

TESTS = """
def test_metrics(promtool):
    assert promtool.endswith("/promtool")

def test_alerts(promtool):
    assert promtool.endswith("/promtool")

def test_page(left_out):
    left_out("chromium", "pages are not looked at", "apt-get install chromium")

def test_other():
    pass
"""

BLOCK = [
    "*!! LEFT OUT !!*",
    "Some tests did not run, because a tool is missing:",
    "  chromium: pages are not looked at",
    "    install it: apt-get install chromium",
    "  promtool: metrics and alert rules are not checked with Prometheus' own parser",
    "    install it: sudo apt-get install --no-install-recommends prometheus",
]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with our plugin, two tests that need promtool, and nothing on the PATH."""
    (pytester.path / "tests" / "postgres").mkdir(parents=True)
    (pytester.path / "tests" / "test_tools.py").write_text(TESTS)
    (pytester.path / "tests" / "postgres" / "test_locks.py").write_text("def test_lock(): pass")
    pytester.makeini("[pytest]\n")
    monkeypatch.setenv("PYTHONPATH", str(Path(left_out.__file__).parent.parent))
    monkeypatch.setenv("PATH", str(pytester.path / "bin"))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("DATABASE_URL", "sqlite://:memory:")
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    # Not in this process, nor with Django: a run of its own, that takes half a second.
    options = ("-p", "no:django", "-p", "tests.left_out", "-p", "no:cacheprovider")
    return project.runpytest_subprocess(*options, "--strict-markers", *arguments, "tests")


def test_our_own_runs_have_the_plugin(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.get_plugin("tests.left_out") is left_out


def test_a_missing_tool_is_left_out_and_said_so_once(project: pytest.Pytester) -> None:
    result = run(project)
    result.assert_outcomes(passed=1, skipped=3)
    assert result.ret == 0
    result.stdout.fnmatch_lines(BLOCK, consecutive=True)
    assert result.stdout.str().count("LEFT OUT") == 1
    assert result.stdout.str().count("install it:") == 2


def test_several_processes_say_so_once_too(project: pytest.Pytester) -> None:
    result = run(project, "-p", "xdist", "--numprocesses", "2")
    result.assert_outcomes(skipped=3, passed=1)
    result.stdout.fnmatch_lines(BLOCK, consecutive=True)


def test_a_missing_tool_is_an_error_in_ci(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    result = run(project)
    result.assert_outcomes(passed=1, failed=1, errors=2)
    assert result.ret == 1
    why = "metrics and alert rules are not checked with Prometheus' own parser"
    command = "sudo apt-get install --no-install-recommends prometheus"
    result.stdout.fnmatch_lines([f"promtool is missing: {why}. Install it: {command}"])
    assert "LEFT OUT" not in result.stdout.str()


def test_nothing_is_said_when_nothing_is_missing(project: pytest.Pytester) -> None:
    tool = project.path / "bin" / "promtool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    result = run(project, "-k", "not page")
    result.assert_outcomes(passed=3, deselected=1)
    assert "LEFT OUT" not in result.stdout.str()


@pytest.mark.parametrize("url", ["", "sqlite://:memory:"])
def test_tests_for_postgresql_are_not_collected_on_sqlite(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    result = run(project, "-k", "lock or other")
    result.assert_outcomes(passed=1, deselected=3)


def test_tests_for_postgresql_have_their_marker(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@somewhere/shop")
    run(project, "-m", "postgres").assert_outcomes(passed=1, deselected=4)
    run(project, "-m", "not postgres", "-k", "lock").assert_outcomes(deselected=5)

"""A pytest plugin that runs mutants, each in a process forked after test collection.

All tests run once while coverage records the lines that each executes. Then, for each mutant, a
forked process replaces the function's code and runs the tests of the mutated lines, fastest first.
Code outside functions runs on import, so its mutants need a new Python process.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import gc
import importlib.machinery
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import coverage
import hypothesis
import pytest

from tools.mutants.baseline import Baseline, statement_at
from tools.mutants.codes import swaps_of
from tools.mutants.mutations import Mutant, mutants_of

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = [Path(name) for name in json.loads(os.environ.get("MUTANTS_FILES", "[]"))]
RESULTS = Path(os.environ.get("MUTANTS_RESULTS", os.devnull))
CHOSEN = set(json.loads(os.environ.get("MUTANTS_KEYS", "[]")))
IMPORTED = os.environ.get("MUTANTS_IMPORTED")  # a mutant that needs its own Python process

hypothesis.settings.register_profile(
    "mutants",
    database=None,
    deadline=None,
    derandomize=True,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],  # shrinking takes minutes
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("mutants")


def _import_mutant(path: str, source: str) -> None:
    """Make Python import `source` instead of the file at `path`."""
    loader: Any = importlib.machinery.SourceFileLoader
    get_code = loader.get_code

    def get_mutated(self: Any, name: str) -> CodeType | None:
        if self.path == path:
            return compile(source, path, "exec", dont_inherit=True)
        return get_code(self, name)  # type: ignore[no-any-return]

    loader.get_code = get_mutated


if IMPORTED:
    _import_mutant(**json.loads(IMPORTED))


class Runner:
    """Runs all tests once, then the tests of each mutant."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        self.items = {item.nodeid: item for item in session.items}
        self.failed = ""
        self.measured = Baseline()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Store the id of a failed test."""
        if report.failed:
            self.failed = report.nodeid

    def _run(self, item: pytest.Item) -> None:
        # With the session as the next item, only session-scoped fixtures stay alive.
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=self.session)

    def baseline(self) -> None:
        """Run all tests and record the lines that each executes."""
        recording = coverage.Coverage(data_file=None, include=[str(path) for path in FILES])
        for nodeid, item in self.items.items():
            recording.start()
            recording.switch_context(nodeid)
            began = time.process_time()
            self._run(item)
            self.measured.seconds[nodeid] = time.process_time() - began
            recording.stop()
            if self.failed:
                pytest.exit(f"This test fails without a mutant: {self.failed}", returncode=1)
        data = recording.get_data()
        for path in FILES:
            contexts = data.contexts_by_lineno(str(path.resolve()))
            self.measured.tests_by_line[path] = {
                line: set(tests) & set(self.items) for line, tests in contexts.items()
            }

    def try_all(self, report: Callable[[str], None]) -> None:
        """Run each chosen mutant and store the result."""
        database = _database()
        for path in FILES:
            for mutant in mutants_of(path):
                if mutant.key not in CHOSEN:
                    continue
                began = time.monotonic()
                by = self._kills(mutant, database)
                diff = mutant.diff()
                with RESULTS.open("a") as results:
                    results.write(json.dumps({"key": mutant.key, "by": by, "diff": diff}) + "\n")
                if by is None:
                    report("\n".join(["SURVIVED", *diff]))
                else:
                    report(f"killed   {diff[0]} {time.monotonic() - began:.1f} s {by}")

    def _kills(self, mutant: Mutant, database: Path) -> str | None:
        """Return what kills the mutant, or None if it survives."""
        name = str(mutant.path.resolve())
        swaps = swaps_of(mutant)
        tree = ast.parse(mutant.source)
        if swaps is None:
            return self._kills_on_import(mutant)
        tests = self.measured.tests(mutant, statement_at(tree, mutant.first_line))
        if not tests:
            return None
        for journal in (f"{database}-wal", f"{database}-shm"):
            Path(journal).unlink(missing_ok=True)
        shutil.copyfile(f"{database}.before", database)
        with warnings.catch_warnings(
            action="ignore"
        ):  # about threads, which the child does not need
            child = os.fork()
        if not child:
            self._be_mutant(name, swaps, tests)
        return self._result(child, tests)

    def _be_mutant(
        self, name: str, swaps: dict[tuple[str, int], CodeType], tests: list[str]
    ) -> None:
        code = 3
        with contextlib.suppress(BaseException):
            os.setsid()
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            self.session.config.pluginmanager.unregister(name="terminalreporter")
            for item in gc.get_objects():
                if isinstance(item, FunctionType) and item.__code__.co_filename == name:
                    at = (item.__code__.co_qualname, item.__code__.co_firstlineno)
                    item.__code__ = swaps.get(at, item.__code__)
                elif isinstance(item, functools._lru_cache_wrapper):  # noqa: SLF001 - has no public name
                    item.cache_clear()
            code = 0
            for test in tests:
                most = math.ceil(time.process_time() + 2 + 4 * self.measured.seconds[test])
                resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
                self._run(self.items[test])
                if self.failed:
                    code = 1
                    break
        os._exit(code)

    def _result(self, child: int, tests: list[str]) -> str | None:
        limit = time.monotonic() + 120 + 60 * sum(self.measured.seconds[test] for test in tests)
        while time.monotonic() < limit:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return {0: None, 1: "a test", 3: "an error"}.get(code, "time")
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "time"

    def _kills_on_import(self, mutant: Mutant) -> str | None:
        tests = self.measured.tests(mutant)
        mutated = {"path": str(mutant.path.resolve()), "source": mutant.mutated}
        environment = os.environ | {
            "MUTANTS_IMPORTED": json.dumps(mutated),
            "MUTANTS_TESTS": json.dumps(tests),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        files = sorted({test.partition("::")[0] for test in tests})
        if not files:
            return None
        command = [sys.executable, "-m", "pytest", "-p", __name__, "-x", "-p", "no:cacheprovider"]
        try:
            done = subprocess.run(
                [*command, *files], env=environment, capture_output=True, timeout=1800, check=False
            )
        except subprocess.TimeoutExpired:
            return "time"
        if done.returncode not in {0, 1, 2}:  # pytest's codes: passed, failed, stopped early
            raise RuntimeError(done.stdout.decode() + done.stderr.decode())
        return "a test, on import" if done.returncode else None


def _database() -> Path:
    from django.db import connection, connections  # noqa: PLC0415 - after Django's setup

    connections.close_all()
    path = Path(connection.settings_dict["NAME"])
    shutil.copyfile(path, f"{path}.before")
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In a mutant's own Python process, keep only its tests, in the given order."""
    if IMPORTED:
        place = {test: at for at, test in enumerate(json.loads(os.environ["MUTANTS_TESTS"]))}
        items[:] = sorted(
            (item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid]
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run all tests once, and then those of each mutant."""
    if IMPORTED or session.config.option.collectonly:
        return None
    runner = Runner(session)
    session.config.pluginmanager.register(runner)
    runner.baseline()
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    runner.try_all(reporter.write_line)
    session._setupstate.teardown_exact(None)  # noqa: SLF001
    return True

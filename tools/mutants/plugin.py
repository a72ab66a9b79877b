"""A pytest plugin that tries mutants, each in a process forked when all tests are collected.

All tests run once while coverage records which lines each executes. Then the forked process of a
mutant replaces the function's code and runs the tests of the mutated lines, the fastest first.
Code outside functions runs on import, so a mutant of it needs a new Python process; so does a
function that only runs when Django starts, of which any test may notice the effect.
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
import sqlite3
import subprocess
import sys
import time
import warnings
from contextlib import closing
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import coverage
import hypothesis
import pytest

from tools.mutants.baseline import Seen, statement_at
from tools.mutants.codes import Swaps, swaps_of
from tools.mutants.mutations import Mutant, mutants_of

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = [Path(name) for name in json.loads(os.environ.get("MUTANTS_FILES", "[]"))]
RESULTS = Path(os.environ.get("MUTANTS_RESULTS", os.devnull))
CHOSEN = set(json.loads(os.environ.get("MUTANTS_KEYS", "[]")))
IMPORTED = os.environ.get("MUTANTS_IMPORTED")  # the one mutant of a Python of its own

hypothesis.settings.register_profile(
    "mutants",
    database=None,
    deadline=None,
    derandomize=True,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],  # shrinking costs minutes
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("mutants")


def _import_mutant(path: str, source: str) -> None:
    """Have Python import `source` instead of what is in the file at `path`."""
    loader: Any = importlib.machinery.SourceFileLoader
    get_code = loader.get_code

    def get_mutated(self: Any, name: str) -> CodeType | None:
        if self.path == path:
            return compile(source, path, "exec", dont_inherit=True)
        return get_code(self, name)  # type: ignore[no-any-return]

    loader.get_code = get_mutated


watch = coverage.Coverage(data_file=None, config_file=False, include=[str(path) for path in FILES])
if IMPORTED:
    _import_mutant(**json.loads(IMPORTED))
elif FILES:
    watch.start()  # before Django is imported


class Runner:
    """Runs the tests once, then those of each mutant."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        self.items = {item.nodeid: item for item in session.items}
        self.failed = ""
        self.seen = Seen()
        self.database = Path()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember which test failed."""
        if report.failed:
            self.failed = report.nodeid

    def _run(self, item: pytest.Item) -> None:
        # The session as the "next item" keeps what all tests share, and nothing else.
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=self.session)

    def baseline(self) -> None:
        """Run all tests and see which lines each executes."""
        watch.stop()
        for nodeid, item in self.items.items():
            watch.start()
            watch.switch_context(nodeid)
            began = time.process_time()
            self._run(item)
            self.seen.seconds[nodeid] = time.process_time() - began
            watch.stop()
            if self.failed:
                pytest.exit(f"Without any mutant this fails: {self.failed}", returncode=1)
        data = watch.get_data()
        for path in FILES:
            contexts = data.contexts_by_lineno(str(path.resolve()))
            self.seen.tests_by_line[path] = {
                line: set(tests) & set(self.items) for line, tests in contexts.items()
            }
            self.seen.imported[path] = {line for line, tests in contexts.items() if "" in tests}

    def try_all(self, say: Callable[[str], None]) -> None:
        """Try each chosen mutant and keep the result."""
        database = self.database = _database()
        if self._tried(database, "", {}, list(self.items)):
            # Some tests do not work there, and would seem to kill every mutant.
            failing = [one for one in self.items if self._tried(database, "", {}, [one])]
            if len(failing) == len(self.items):
                pytest.exit("Every test fails in a forked process", returncode=1)
            for test in failing:
                say(f"left out, it fails in a forked process: {test}")
                self.seen.leave_out(test)
        for path in FILES:
            for mutant in mutants_of(path):
                if mutant.key not in CHOSEN:
                    continue
                began = time.monotonic()
                tests, by = self._kills(mutant, database)
                diff = mutant.diff()
                with RESULTS.open("a") as results:
                    row = {"key": mutant.key, "by": by, "tests": tests, "diff": diff}
                    results.write(json.dumps(row) + "\n")
                if by is None:
                    say("\n".join([f"SURVIVED {tests} tests", *diff]))
                else:
                    say(f"killed   {diff[0]} {time.monotonic() - began:.1f} s {by}")

    def _kills(self, mutant: Mutant, database: Path) -> tuple[int, str | None]:
        """Return how many tests run the mutant, and what kills it; None if it survives."""
        name = str(mutant.path.resolve())
        swaps = swaps_of(mutant)
        lines = statement_at(ast.parse(mutant.source), mutant.first_line)
        tests = self.seen.tests(mutant, None if swaps is None else lines)
        if swaps is not None and tests:
            return len(tests), self._tried(database, name, swaps, tests)
        if not tests and not self.seen.imported[mutant.path].isdisjoint(lines):
            tests = self.seen.fastest_first(self.seen.seconds)
        return len(tests), self._kills_on_import(mutant, tests) if tests else None

    def _tried(self, database: Path, name: str, swaps: Swaps, tests: list[str]) -> str | None:
        """Run tests in a forked process with swapped code; return what kills it."""
        for journal in (f"{database}-wal", f"{database}-shm"):
            Path(journal).unlink(missing_ok=True)
        shutil.copyfile(f"{database}.before", database)
        with warnings.catch_warnings(action="ignore"):  # of threads: the child needs none of them
            child = os.fork()
        if not child:
            self._be_mutant(name, swaps, tests)
        return self._result(child, tests)

    def _be_mutant(self, name: str, swaps: Swaps, tests: list[str]) -> None:
        code = 3
        with contextlib.suppress(BaseException):
            os.setsid()
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            self.session.config.pluginmanager.unregister(name="terminalreporter")
            for one in gc.get_objects():
                # Not isinstance: it would evaluate Django's lazy objects.
                if type(one) is FunctionType and one.__code__.co_filename == name:
                    at = (one.__code__.co_qualname, one.__code__.co_firstlineno)
                    one.__code__ = swaps.get(at, one.__code__)
                elif type(one) is functools._lru_cache_wrapper:  # noqa: SLF001 - has no public name
                    one.cache_clear()
            code = 0
            for test in tests:
                most = math.ceil(time.process_time() + 2 + 4 * self.seen.seconds[test])
                resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
                self._run(self.items[test])
                if self.failed:
                    code = 1
                    break
        os._exit(code)

    def _result(self, child: int, tests: list[str]) -> str | None:
        limit = time.monotonic() + 120 + 60 * sum(self.seen.seconds[test] for test in tests)
        while time.monotonic() < limit:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return {0: None, 1: "a test", 3: "an error"}.get(code, "time")
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "time"

    def _kills_on_import(self, mutant: Mutant, tests: list[str]) -> str | None:
        wanted = {"path": str(mutant.path.resolve()), "source": mutant.mutated}
        environment = os.environ | {
            "MUTANTS_IMPORTED": json.dumps(wanted),
            "MUTANTS_TESTS": json.dumps(tests),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        files = sorted({test.partition("::")[0] for test in tests})
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
    from django.db import connection, connections  # noqa: PLC0415 - Django comes first

    connections.close_all()
    path = Path(connection.settings_dict["NAME"])
    # A thread of a test may have left a connection open, and part of the data in its journal.
    with closing(sqlite3.connect(path)) as now, closing(sqlite3.connect(f"{path}.before")) as kept:
        now.backup(kept)
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of the one mutant of a Python process of its own, in the given order."""
    if IMPORTED:
        place = {test: at for at, test in enumerate(json.loads(os.environ["MUTANTS_TESTS"]))}
        items[:] = sorted(
            (one for one in items if one.nodeid in place), key=lambda one: place[one.nodeid]
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests once and then for each mutant, instead of once."""
    if IMPORTED or session.config.option.collectonly:
        return None
    runner = Runner(session)
    session.config.pluginmanager.register(runner)
    runner.baseline()
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    runner.try_all(reporter.write_line)
    session._setupstate.teardown_exact(None)  # noqa: SLF001 - as pytest does after the last test
    database = runner.database
    for left in database.parent.glob(f"{database.name}*"):
        left.unlink()
    return True

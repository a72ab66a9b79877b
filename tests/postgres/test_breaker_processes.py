"""The breaker among real processes, each new, each with its own connection."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from payments import breaker
from payments.models import CircuitBreaker

pytestmark = pytest.mark.django_db(transaction=True)

APP = Path(__file__).parents[2] / "app"
CALLERS = 6
# Says what came of each line that it is told.
CALLER = """
import sys
import django
django.setup()
from payments import breaker
breaker.PROBE_SECONDS = 3600  # so that no test races against it
print("ready", flush=True)
permit = None
for line in sys.stdin:
    deed, _, name = line.strip().partition(" ")
    said = "done"
    if deed == "ask":
        try:
            permit = breaker.acquire(name)
            said = "probe" if permit.probe else "permit"
        except breaker.BreakerOpenError as error:
            said = "wait a moment" if error.retry_after == 1 else "refused"
    elif deed == "force":
        breaker.force(state=name, reason="test", minutes=10, by="anna", user_id=1)
    else:
        breaker.report(permit, succeeded=deed == "succeeded")
    print(said, flush=True)
"""


@dataclass
class Caller:
    """A process that asks the breaker."""

    popen: subprocess.Popen[str]

    def say(self, line: str) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def hear(self) -> str:
        assert self.popen.stdout is not None
        while (line := self.popen.stdout.readline().strip()).startswith("{"):
            pass  # the shop's log
        assert line, "the process has ended"
        return line

    def do(self, line: str) -> str:
        self.say(line)
        return self.hear()


Start = Callable[[], Caller]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a process; `hear` tells when it is ready."""
    facts = connection.get_connection_params()
    url = (
        f"postgresql://{quote(facts['user'])}:{quote(facts['password'])}"
        f"@{facts['host']}:{facts['port']}/{quote(facts['dbname'])}"
    )
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": url,
        "VAR_DIR": str(tmp_path),
        "LOG_DIR": str(tmp_path),
        "BREAKER_FAIL_MAX": "5",
        "BREAKER_RESET_SECONDS": "600",  # nor against this
    }
    started: list[Caller] = []

    def start_one() -> Caller:
        popen = subprocess.Popen(
            [sys.executable, "-c", CALLER],
            cwd=APP,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(Caller(popen))
        return started[-1]

    yield start_one
    for caller in started:
        caller.popen.kill()
        caller.popen.communicate()


@pytest.fixture
def callers(start: Start) -> list[Caller]:
    """Return processes that are ready to ask."""
    found = [start() for _ in range(CALLERS)]
    assert [caller.hear() for caller in found] == ["ready"] * CALLERS
    return found


def open_it() -> None:
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    assert row()["state"] == "open"


def pass_the_rest() -> None:
    CircuitBreaker.objects.update(opened_at=F("opened_at") - timedelta(seconds=600))


def row() -> dict[str, object]:
    return dict(CircuitBreaker.objects.values().get())


def everybody(callers: list[Caller], line: str) -> list[str]:
    """Say a line to all processes at once; return what each says, in alphabetical order."""
    for number, caller in enumerate(callers):
        caller.say(line.format(number))
    return sorted(caller.hear() for caller in callers)


def test_of_many_processes_one_has_the_half_open_probe_whatever_comes_of_it(
    callers: list[Caller],
) -> None:
    open_it()
    others = ["wait a moment"] * (CALLERS - 1)
    for outcome, then in (("failed", "open"), ("failed", "open"), ("succeeded", "closed")):
        assert everybody(callers, "ask early-{}") == ["refused"] * CALLERS
        pass_the_rest()
        said = everybody(callers, "ask caller-{}")
        assert said == ["probe", *others]
        holder = str(row()["probe"])
        assert holder.startswith("caller-")
        prober = callers[int(holder.removeprefix("caller-"))]
        assert prober.do(outcome) == "done"
        assert row()["state"] == then
    assert everybody(callers, "ask late-{}") == ["permit"] * CALLERS


def test_failures_of_many_processes_are_one_count(callers: list[Caller]) -> None:
    assert everybody(callers, "ask caller-{}") == ["permit"] * CALLERS
    for number, caller in enumerate(callers[:4], 1):
        assert caller.do("failed") == "done"
        assert (row()["state"], row()["failures"]) == ("closed", number)
    assert callers[4].do("failed") == "done"
    assert row()["state"] == "open"
    held = row()
    assert callers[5].do("failed") == "done"
    assert row() == held
    assert everybody(callers, "ask again-{}") == ["refused"] * CALLERS


def test_a_new_process_finds_what_the_others_left_and_resets_nothing(start: Start) -> None:
    open_it()
    held = row()
    for _ in range(2):
        new = start()
        assert new.hear() == "ready"
        assert row() == held  # not even by starting
        assert new.do("ask new") == "refused"
        assert row() == held
        new.popen.kill()
        new.popen.wait()
    pass_the_rest()
    prober = start()
    assert (prober.hear(), prober.do("ask dead")) == ("ready", "probe")
    held = row()
    prober.popen.kill()  # with the probe in its hands
    prober.popen.wait()
    new = start()
    assert (new.hear(), new.do("ask next"), row()) == ("ready", "wait a moment", held)
    CircuitBreaker.objects.update(probe_until=timezone.now())
    assert new.do("ask next") == "probe"


def test_what_one_process_forces_all_obey_also_new_ones(
    callers: list[Caller], start: Start
) -> None:
    open_it()
    pass_the_rest()
    prober = callers[0]
    assert prober.do("ask prober") == "probe"
    assert callers[1].do("force open") == "done"
    held = row()
    assert everybody(callers, "ask caller-{}") == ["refused"] * CALLERS
    assert prober.do("succeeded") == "done"
    new = start()
    assert (new.hear(), new.do("ask new"), row()) == ("ready", "refused", held)
    CircuitBreaker.objects.update(forced_until=timezone.now())
    assert everybody(callers, "ask caller-{}") == ["probe", *["wait a moment"] * (CALLERS - 1)]
    assert callers[2].do("force closed") == "done"
    held = row()
    for _ in range(2):
        assert everybody(callers, "ask caller-{}") == ["permit"] * CALLERS
        assert everybody(callers, "failed") == ["done"] * CALLERS
    assert row() == held

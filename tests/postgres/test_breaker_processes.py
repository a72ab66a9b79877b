"""The breaker shared by several processes, each with its own connection."""

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
# Reads commands line by line and prints each result.
CALLER = """
import sys
import django
django.setup()
from payments import breaker
breaker.PROBE_SECONDS = 3600  # so that no test races against it
print("ready", flush=True)
permit = None
for line in sys.stdin:
    command, _, name = line.strip().partition(" ")
    result = "done"
    if command in {"acquire", "reserve"}:
        try:
            permit = breaker.acquire(name, may_probe=command == "acquire")
            result = "probe" if permit.probe else "permit"
        except breaker.BreakerOpenError as error:
            result = "wait a moment" if error.retry_after == 1 else "refused"
    elif command == "force":
        breaker.force(state=name, reason="test", minutes=10, by="anna", user_id=1)
    else:
        breaker.report(permit, succeeded=command == "succeeded")
    print(result, flush=True)
"""


@dataclass
class Caller:
    """A process that uses the breaker."""

    popen: subprocess.Popen[str]

    def send(self, line: str) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def receive(self) -> str:
        assert self.popen.stdout is not None
        while (line := self.popen.stdout.readline().strip()).startswith("{"):
            pass  # the shop's log
        assert line, "the process has ended"
        return line

    def run(self, line: str) -> str:
        self.send(line)
        return self.receive()


Start = Callable[[], Caller]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a process, which sends "ready" first."""
    parameters = connection.get_connection_params()
    url = (
        f"postgresql://{quote(parameters['user'])}:{quote(parameters['password'])}"
        f"@{parameters['host']}:{parameters['port']}/{quote(parameters['dbname'])}"
    )
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DEBUG": "True",
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
    """Return processes that are ready."""
    started = [start() for _ in range(CALLERS)]
    assert [caller.receive() for caller in started] == ["ready"] * CALLERS
    return started


def open_breaker() -> None:
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    assert row()["state"] == "open"


def pass_reset_time() -> None:
    CircuitBreaker.objects.update(opened_at=F("opened_at") - timedelta(seconds=600))


def row() -> dict[str, object]:
    return dict(CircuitBreaker.objects.values().get())


def everybody(callers: list[Caller], line: str) -> list[str]:
    """Send a line to all processes at once; return their sorted results."""
    for number, caller in enumerate(callers):
        caller.send(line.format(number))
    return sorted(caller.receive() for caller in callers)


def test_only_one_of_many_processes_gets_the_half_open_probe(
    callers: list[Caller],
) -> None:
    open_breaker()
    others = ["wait a moment"] * (CALLERS - 1)
    for outcome, state in (("failed", "open"), ("failed", "open"), ("succeeded", "closed")):
        assert everybody(callers, "acquire early-{}") == ["refused"] * CALLERS
        pass_reset_time()
        assert everybody(callers, "acquire caller-{}") == ["probe", *others]
        holder = str(row()["probe"])
        assert holder.startswith("caller-")
        prober = callers[int(holder.removeprefix("caller-"))]
        assert prober.run(outcome) == "done"
        assert row()["state"] == state
    assert everybody(callers, "acquire late-{}") == ["permit"] * CALLERS


def test_failures_of_many_processes_are_counted_together(callers: list[Caller]) -> None:
    assert everybody(callers, "acquire caller-{}") == ["permit"] * CALLERS
    for number, caller in enumerate(callers[:4], 1):
        assert caller.run("failed") == "done"
        assert (row()["state"], row()["failures"]) == ("closed", number)
    assert callers[4].run("failed") == "done"
    assert row()["state"] == "open"
    before = row()
    assert callers[5].run("failed") == "done"
    assert row() == before
    assert everybody(callers, "acquire again-{}") == ["refused"] * CALLERS


def test_failures_of_calls_that_began_before_it_opened_do_not_open_it_again(
    callers: list[Caller],
) -> None:
    assert everybody(callers, "acquire early-{}") == ["permit"] * CALLERS
    open_breaker()
    pass_reset_time()
    breaker.report(breaker.acquire("prober"), succeeded=True)
    before = row()
    assert before["state"] == "closed"
    assert everybody(callers, "failed") == ["done"] * CALLERS
    assert row() == before
    assert everybody(callers, "acquire late-{}") == ["permit"] * CALLERS
    everybody(callers, "failed")
    assert row()["state"] == "open"


def test_only_callers_that_charge_now_get_the_probe(callers: list[Caller]) -> None:
    open_breaker()
    assert everybody(callers, "reserve early-{}") == ["refused"] * CALLERS
    pass_reset_time()
    before = row()
    assert everybody(callers, "reserve flash-{}") == ["permit"] * CALLERS
    assert row() == before
    assert callers[0].run("acquire charges-now") == "probe"
    assert callers[1].run("reserve flash-again") == "wait a moment"


def test_with_the_clock_set_back_every_process_goes_on_after_the_rest(
    callers: list[Caller],
) -> None:
    open_breaker()
    CircuitBreaker.objects.update(opened_at=F("opened_at") + timedelta(hours=1))
    assert everybody(callers, "acquire caller-{}") == ["probe", *["wait a moment"] * (CALLERS - 1)]
    CircuitBreaker.objects.update(probe_until=F("probe_until") + timedelta(hours=1))
    assert everybody(callers, "acquire next-{}") == ["probe", *["wait a moment"] * (CALLERS - 1)]


def test_a_new_process_keeps_the_breakers_state(start: Start) -> None:
    open_breaker()
    before = row()
    for _ in range(2):
        new = start()
        assert new.receive() == "ready"
        assert row() == before  # starting changes nothing
        assert new.run("acquire new") == "refused"
        assert row() == before
        new.popen.kill()
        new.popen.wait()
    pass_reset_time()
    prober = start()
    assert (prober.receive(), prober.run("acquire dead")) == ("ready", "probe")
    before = row()
    prober.popen.kill()  # while it holds the probe
    prober.popen.wait()
    new = start()
    assert (new.receive(), new.run("acquire next"), row()) == ("ready", "wait a moment", before)
    CircuitBreaker.objects.update(probe_until=timezone.now())
    assert new.run("acquire next") == "probe"


def test_a_force_applies_to_all_processes_including_new_ones(
    callers: list[Caller], start: Start
) -> None:
    open_breaker()
    pass_reset_time()
    prober = callers[0]
    assert prober.run("acquire prober") == "probe"
    assert callers[1].run("force open") == "done"
    before = row()
    assert everybody(callers, "acquire caller-{}") == ["refused"] * CALLERS
    assert prober.run("succeeded") == "done"
    new = start()
    assert (new.receive(), new.run("acquire new"), row()) == ("ready", "refused", before)
    CircuitBreaker.objects.update(forced_until=timezone.now())
    assert everybody(callers, "acquire caller-{}") == ["probe", *["wait a moment"] * (CALLERS - 1)]
    assert callers[2].run("force closed") == "done"
    before = row()
    for _ in range(2):
        assert everybody(callers, "acquire caller-{}") == ["permit"] * CALLERS
        assert everybody(callers, "failed") == ["done"] * CALLERS
    assert row() == before

"""How the parts of the shop are, and that none that fails hides the others."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_q.models import OrmQ

from payments.models import CircuitBreaker
from retail import health
from retail.models import AuditCheck, WorkerHeartbeat
from tests.dashboards.reading import checks, seen
from tests.oncall.support import NOON, alert, hear

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

Usage = tuple[int, int, int]


@pytest.fixture(autouse=True)
def _noon(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOON)
    settings.ALERT_RECEIVERS = {"e-mail": False, "Slack": False}


def ago(seconds: float) -> Any:
    return NOON - timedelta(seconds=seconds)


def breaker(**fields: Any) -> None:
    CircuitBreaker.objects.create(name="payments", **fields)


def test_a_new_shop_is_not_blamed_for_what_nobody_asked(staff: Client) -> None:
    found = checks(staff)
    assert found["Circuit breaker"] == "calm: closed Not used yet: no payment has been made."
    assert found["Gateway"] == "calm: not asked yet The worker reads its ledger every minute."
    assert found["Database"].startswith("good: connected ")
    assert found["Worker"] == "bad: never seen Start it with manage.py worker"
    assert found["Job queue"] == "good: flowing No jobs are waiting."
    assert found["Monitoring"] == "warn: not connected No alert can reach this page."
    assert found["Alert receivers"] == "warn: none No human receiver: alerts reach this shop alone."
    assert list(found) == [
        *("Database", "Worker", "Job queue", "Disk"),
        *("Circuit breaker", "Gateway", "Monitoring", "Alert receivers"),
    ]


@pytest.mark.parametrize(
    ("fields", "said", "gateway"),
    [
        ({}, "good: closed Payments go to the gateway.", "good: answers"),
        (
            {"state": "open", "opened_at": ago(130)},
            "bad: open Opened 2 min ago: checkouts are refused at once, carts are kept.",
            "bad: not answering",
        ),
        (
            {"state": "half_open", "opened_at": ago(130)},
            "warn: half-open One payment at a time tests whether the gateway is back.",
            "bad: not answering",
        ),
        (
            {
                "state": "open",
                "opened_at": ago(130),
                "forced_state": "open",
                "forced_reason": "moving house",
                "forced_until": ago(-600),
                "forced_by": "somebody",
            },
            "warn: open, forced Forced by hand for 10 min more: moving house",
            "good: answers",
        ),
    ],
)
def test_the_breaker_tells_of_itself_and_the_gateway(
    staff: Client, fields: dict[str, Any], said: str, gateway: str
) -> None:
    AuditCheck.objects.create(invariant="charge_has_payment", checked_at=ago(30))
    breaker(**fields)
    found = checks(staff)
    assert found["Circuit breaker"] == said
    assert found["Gateway"].startswith(gateway)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (300, "good: answers Its ledger was read 5 min ago."),
        (301, "warn: silent Its ledger was last read 5 min ago. Is the worker running?"),
    ],
)
def test_a_ledger_not_read_for_long_is_doubted(staff: Client, seconds: int, said: str) -> None:
    AuditCheck.objects.create(invariant="charge_has_payment", checked_at=ago(seconds))
    assert checks(staff)["Gateway"] == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (30, "good: running Seen in the last 30 seconds."),
        (31, "bad: silent for 31 s Is manage.py worker running?"),
    ],
)
def test_the_worker_is_heard_or_not(staff: Client, seconds: int, said: str) -> None:
    WorkerHeartbeat.objects.create(worker="one", seen_at=ago(seconds))
    WorkerHeartbeat.objects.create(worker="older", seen_at=ago(9000))
    assert checks(staff)["Worker"] == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (60, "good: flowing 2 jobs are waiting, the oldest for 1 min."),
        (61, "warn: slow 2 jobs are waiting, the oldest for 1 min."),
        (301, "bad: stalled 2 jobs are waiting, the oldest for 5 min."),
    ],
)
def test_the_queue_is_judged_by_its_oldest(staff: Client, seconds: int, said: str) -> None:
    for waited in (1, seconds):
        OrmQ.objects.create(key="vitrine", payload="", lock=ago(waited))
    assert checks(staff)["Job queue"] == said


@pytest.mark.parametrize(
    ("free", "said"),
    [(15, "good: room 15 % free"), (14, "warn: filling 14 %"), (4, "bad: full 4 % free, 4 GB.")],
)
def test_the_fullest_disk_counts(
    staff: Client, monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Any,
    free: int, said: str
) -> None:  # fmt: skip
    from shutil import _ntuple_diskusage as usage  # noqa: PLC0415

    settings.VAR_DIR, settings.LOG_DIR = tmp_path / "a", tmp_path
    settings.VAR_DIR.mkdir()
    giga = 10**9
    sizes = {tmp_path: usage(100 * giga, 0, 90 * giga)}
    sizes[settings.VAR_DIR] = usage(100 * giga, 0, free * giga)
    monkeypatch.setattr("retail.web.health.shutil.disk_usage", sizes.__getitem__)
    assert checks(staff)["Disk"].startswith(said)


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (-4, "good: connected Heartbeat 4 min ago."),
        (-6, "bad: silent Heartbeat 6 min ago. Alerts may not reach this page."),
    ],
)
def test_the_watch_is_heard_or_not(staff: Client, minutes: int, said: str) -> None:
    hear(minutes, alert("Watchdog"))
    assert checks(staff)["Monitoring"] == said


def test_it_says_who_is_told(staff: Client, settings: Settings) -> None:
    settings.ALERT_RECEIVERS = {"e-mail": True, "Slack": False, "PagerDuty": True}
    assert checks(staff)["Alert receivers"] == "good: configured By e-mail, PagerDuty."


@pytest.mark.parametrize("name", list(health.registered))
def test_a_check_that_fails_hides_no_other(
    staff: Client, monkeypatch: pytest.MonkeyPatch, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    usual = checks(staff)

    def fail(_now: object) -> NoReturn:
        raise RuntimeError("a bug")

    monkeypatch.setitem(health.registered, name, fail)
    found = checks(staff)
    assert found == {**usual, name: "bad: check failed See the log for the error."}
    lines = [one for one in caplog.records if one.message == "event=dashboard.check_failed"]
    assert {line.__dict__["check"] for line in lines} == {name}
    assert "check failed" in seen(staff)


def test_a_database_that_is_away_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> NoReturn:
        raise OperationalError("gone")

    monkeypatch.setattr("retail.web.health.database_checks", fail)
    database = health.registered["Database"](NOON)
    assert (database.state, database.word) == ("bad", "down")

"""Health checks: each state and its text, and that a failing check hides no other."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_q.models import OrmQ

from payments.models import CircuitBreaker
from retail import health
from retail.models import AuditCheck, Email, JobSuccess, WorkerHeartbeat
from retail.observability.prometheus import catalogue
from tests.dashboards.support import checks, main_text
from tests.oncall.support import NOON, alert, receive
from tests.support import moved

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

Usage = tuple[int, int, int]


@pytest.fixture(autouse=True)
def _noon(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOON)
    monkeypatch.setattr("retail.jobs._STARTED_AT", NOON)
    settings.ALERT_RECEIVERS = {"e-mail": False, "Slack": False}


def ago(seconds: float) -> Any:
    return NOON - timedelta(seconds=seconds)


def breaker(**fields: Any) -> None:
    CircuitBreaker.objects.create(name="payments", **fields)


def test_a_new_shop(staff: Client) -> None:
    texts = checks(staff)
    assert texts["Circuit breaker"] == "calm: closed No payments so far."
    assert texts["Gateway"] == "calm: not checked yet The worker reads its ledger every minute."
    assert texts["Database"].startswith("good: up ")
    assert texts["Worker"] == "bad: never seen Start it with manage.py worker"
    assert texts["Job queue"] == "good: keeping up No jobs waiting."
    assert texts["E-mails"] == "good: sent No e-mails waiting."
    assert texts["Periodic jobs"] == "good: on time No job is overdue."
    assert texts["Telemetry"] == "good: complete This process has lost nothing."
    assert texts["Books"] == "calm: not audited yet The worker audits them every minute."
    assert texts["Sales now"].startswith("calm: no visitors In the last 5 minutes: 0 of 0")
    assert texts["Unsettled payments"] == "good: none 0 in progress."
    assert texts["Partner feeds"] == "calm: none No partner delivers products."
    assert texts["Refunds"] == "good: none No refund is on its way."
    assert texts["Monitoring"] == "warn: not connected No alerts can reach the shop."
    assert texts["Alert receivers"] == "warn: none No one is notified; alerts are only shown here."
    assert texts["Backups"] == "calm: not expected There is none yet. Production needs them."
    assert list(texts) == [
        "Backups",
        *("Database", "Worker", "Books", "Job queue", "E-mails", "Periodic jobs", "Telemetry"),
        "Disk",
        *("Circuit breaker", "Sales now", "Unsettled payments", "Gateway", "Refunds"),
        "Partner feeds",
        *("Monitoring", "Alert receivers"),
    ]


@pytest.mark.parametrize(
    ("fields", "text", "gateway"),
    [
        ({}, "good: closed Payments reach the gateway.", "good: responding"),
        (
            {"state": "open", "opened_at": ago(130)},
            "bad: open Opened 2 min ago. Checkouts fail fast; carts are kept.",
            "bad: not responding",
        ),
        (
            {"state": "half_open", "opened_at": ago(5), "open_since": ago(130), "failures": 9},
            "bad: half-open Opened 2 min ago. Checkouts fail fast; carts are kept.",
            "bad: not responding",
        ),
        (
            {"state": "half_open", "opened_at": ago(130)},
            "warn: half-open One payment at a time probes the gateway.",
            "bad: not responding",
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
            "warn: open, forced Forced by staff for another 10 min: moving house",
            "good: responding",
        ),
    ],
)
def test_circuit_breaker_and_gateway(
    staff: Client, fields: dict[str, Any], text: str, gateway: str
) -> None:
    AuditCheck.objects.create(invariant="charge_has_payment", checked_at=ago(30))
    breaker(**fields)
    texts = checks(staff)
    assert texts["Circuit breaker"] == text
    assert texts["Gateway"].startswith(gateway)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (300, "good: responding Ledger read 5 min ago."),
        (301, "warn: not checked Ledger last read 5 min ago. Is the worker running?"),
    ],
)
def test_an_old_ledger_audit_is_a_warning(staff: Client, seconds: int, text: str) -> None:
    AuditCheck.objects.create(invariant="charge_has_payment", checked_at=ago(seconds))
    assert checks(staff)["Gateway"] == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (30, "good: running Heartbeat in the last 30 seconds."),
        (31, "bad: silent for 31 s Is manage.py worker running?"),
    ],
)
def test_the_worker(staff: Client, seconds: int, text: str) -> None:
    WorkerHeartbeat.objects.create(worker="one", seen_at=ago(seconds))
    WorkerHeartbeat.objects.create(worker="older", seen_at=ago(9000))
    assert checks(staff)["Worker"] == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (60, "good: keeping up 2 jobs waiting; longest wait 1 min."),
        (61, "warn: slow 2 jobs waiting; longest wait 1 min."),
        (301, "bad: stalled 2 jobs waiting; longest wait 5 min."),
    ],
)
def test_the_queue_is_evaluated_by_its_longest_wait(staff: Client, seconds: int, text: str) -> None:
    for waited in (1, seconds):
        OrmQ.objects.create(key="vitrine", payload="", lock=ago(waited))
    assert checks(staff)["Job queue"] == text


def test_one_waiting_job(staff: Client) -> None:
    OrmQ.objects.create(key="vitrine", payload="", lock=ago(60))
    assert checks(staff)["Job queue"] == "good: keeping up 1 job waiting; longest wait 1 min."


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1500, "good: sent 2 e-mails waiting; longest wait 25 min."),
        (1501, "bad: late 2 e-mails waiting; longest wait 25 min."),
    ],
)
def test_emails_are_evaluated_by_the_longest_wait(staff: Client, seconds: int, text: str) -> None:
    for about, waited in (("a", 1), ("b", seconds)):
        Email.objects.create(kind="note", about=about, created_at=ago(waited))
    assert checks(staff)["E-mails"] == text


def test_emails_that_were_given_up_are_named_for_a_day(staff: Client) -> None:
    lost = [("given_up", 9000), ("uncertain", 9), ("refused", 9), ("given_up", 90_000)]
    for number, (state, seconds) in enumerate(lost):
        Email.objects.create(
            kind="order_confirmed", about=f"VT-{number}", state=state, ended_at=ago(seconds)
        )
    names = "order_confirmed VT-1, order_confirmed VT-0"
    expected = f"warn: not delivered 2 e-mails given up in the last day: {names}."
    assert checks(staff)["E-mails"] == expected


def test_jobs_that_stand_still_are_named(staff: Client) -> None:
    JobSuccess.objects.create(task="roll_up_metrics", at=ago(600))
    JobSuccess.objects.create(task="prune_carts", at=ago(47 * 3600))
    assert checks(staff)["Periodic jobs"] == "good: on time No job is overdue."
    JobSuccess.objects.filter(task="roll_up_metrics").update(at=ago(601))
    JobSuccess.objects.create(task="run_audit", at=ago(5400))
    text = "No success of roll_up_metrics for 10 min, run_audit for 1 h 30 min."
    assert checks(staff)["Periodic jobs"] == f"bad: standing still {text} See the worker's log."


@pytest.mark.parametrize(
    ("free", "text"),
    [
        (15, "good: enough space 15 % free"),
        (14, "warn: filling up 14 %"),
        (4, "bad: almost full 4 % free, 4 GB."),
    ],
)
def test_the_fullest_disk_counts(
    staff: Client, monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Any,
    free: int, text: str
) -> None:  # fmt: skip
    from shutil import _ntuple_diskusage as usage  # noqa: PLC0415

    settings.VAR_DIR, settings.LOG_DIR = tmp_path / "a", tmp_path
    settings.VAR_DIR.mkdir()
    giga = 10**9
    sizes = {tmp_path: usage(100 * giga, 0, 90 * giga)}
    sizes[settings.VAR_DIR] = usage(100 * giga, 0, free * giga)
    monkeypatch.setattr("retail.web.health.shutil.disk_usage", sizes.__getitem__)
    assert checks(staff)["Disk"].startswith(text)


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (-4, "good: connected Last heartbeat 4 min ago."),
        (-6, "bad: no heartbeat Last heartbeat 6 min ago. Alerts may not reach the shop."),
    ],
)
def test_monitoring(staff: Client, minutes: int, text: str) -> None:
    receive(minutes, alert("Watchdog"))
    assert checks(staff)["Monitoring"] == text


def test_alert_receivers_are_listed(staff: Client, settings: Settings) -> None:
    settings.ALERT_RECEIVERS = {"e-mail": True, "Slack": False, "PagerDuty": True}
    assert (
        checks(staff)["Alert receivers"]
        == "good: configured Alerts are sent by: e-mail, PagerDuty."
    )


@pytest.mark.parametrize("name", list(health.registered))
def test_a_check_that_fails_hides_no_other(
    staff: Client, monkeypatch: pytest.MonkeyPatch, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = checks(staff)

    def fail(_now: object) -> NoReturn:
        raise RuntimeError("a bug")

    monkeypatch.setitem(health.registered, name, fail)
    texts = checks(staff)
    assert texts == {**before, name: "bad: check failed See the log for the error."}
    lines = [
        record for record in caplog.records if record.message == "event=dashboard.check_failed"
    ]
    assert {line.__dict__["check"] for line in lines} == {name}
    assert "check failed" in main_text(staff)


def test_an_unavailable_database_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> NoReturn:
        raise OperationalError("gone")

    monkeypatch.setattr("retail.web.health.database_checks", fail)
    database = health.registered["Database"](NOON)
    assert (database.state, database.word) == ("bad", "down")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (60, "warn: losing data Metrics or log lines were lost 1 min ago."),
        (899, "warn: losing data Metrics or log lines were lost 14 min ago."),
        (900, "good: complete Last loss 15 min ago."),
    ],
)
def test_lost_telemetry_is_shown(
    staff: Client, monkeypatch: pytest.MonkeyPatch, seconds: int, text: str
) -> None:
    with moved() as changes, monkeypatch.context() as patched:
        patched.setattr("time.time", lambda: ago(seconds).timestamp())
        catalogue.TELEMETRY_ERRORS.inc(sink="log")
    assert changes['retail_telemetry_errors_total{sink="log"}'] == 1
    assert checks(staff)["Telemetry"].startswith(text)

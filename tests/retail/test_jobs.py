"""Jobs are enqueued with their transaction and request id; each run is counted."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage

from retail import jobs
from retail.jobs import Job, job
from retail.observability import current_request_id
from retail.observability.context import request_context
from retail.observability.prometheus import catalogue
from tests.retail.conftest import Lines
from tests.support import moved

pytestmark = pytest.mark.django_db

DONE = 'retail_jobs_total{task="prune_carts",outcome="succeeded"}'
FAILED = 'retail_jobs_total{task="prune_carts",outcome="failed"}'


def took(outcome: str) -> str:
    return f'retail_job_duration_seconds_count{{task="prune_carts",outcome="{outcome}"}}'


@pytest.fixture(autouse=True)
def _own_declarations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "declared", {})


def declare(function: Callable[..., Any], every_minutes: int | None = None) -> Job:
    """Declare a job with the name of an existing one."""
    function.__name__ = "prune_carts"
    return job(every_minutes=every_minutes)(function)


def queued() -> list[dict[str, Any]]:
    return [SignedPackage.loads(task.payload) for task in OrmQ.objects.order_by("pk")]


def seen_id(*args: object) -> tuple[object, ...]:
    return (current_request_id(), *args)


def test_a_job_is_enqueued_by_its_path_with_its_arguments_and_the_request_id() -> None:
    with request_context("r1"):
        Job(seen_id, None).enqueue(7, "x")
    (task,) = queued()
    assert task["func"] == f"{__name__}.seen_id"
    assert task["args"] == (7, "x")
    assert task["kwargs"] == {"request_id": "r1"}
    assert task["name"] == "seen_id"


def test_a_job_is_enqueued_with_its_transaction_or_not_at_all() -> None:
    def roll_back() -> None:
        with transaction.atomic():
            Job(seen_id, None).enqueue(1)
            assert len(queued()) == 1
            raise LookupError

    with pytest.raises(LookupError):
        roll_back()
    assert queued() == []
    with transaction.atomic():
        Job(seen_id, None).enqueue(2)
    assert [task["args"] for task in queued()] == [(2,)]


def test_a_run_has_the_request_id_it_was_enqueued_with() -> None:
    declared = declare(seen_id)
    assert declared(7, request_id="r1") == ("r1", 7)
    assert current_request_id() == ""


def test_a_run_without_a_request_gets_a_new_id() -> None:
    (first,) = declare(seen_id)()
    (second,) = declare(seen_id)()
    assert UUID(first).version == UUID(second).version == 4
    assert first != second


def test_a_successful_run_is_counted_and_logged_once(lines: Lines) -> None:
    with moved() as changes:
        assert declare(lambda: 3)(request_id="r1") == 3
    assert changes == {DONE: 1, took("succeeded"): 1}
    (line,) = lines()
    assert (line["message"], line["level"], line["request_id"]) == ("event=job.done", "INFO", "r1")
    assert line["extra"].pop("duration_ms") >= 0
    assert line["extra"] == {"task": "prune_carts", "result": 3}


def test_a_failed_run_raises_and_is_counted_and_logged_once(lines: Lines) -> None:
    def fail() -> None:
        raise LookupError("no such cart")

    with moved() as changes, pytest.raises(LookupError):
        declare(fail)(request_id="r1")
    assert changes == {FAILED: 1, took("failed"): 1}
    (line,) = lines()
    assert (line["message"], line["level"], line["request_id"]) == (
        "event=job.failed",
        "ERROR",
        "r1",
    )
    assert line["extra"]["task"] == "prune_carts"
    assert line["extra"]["traceback"].endswith("LookupError: no such cart")


def test_an_interrupted_run_counts_as_failed() -> None:
    def stop() -> None:
        raise SystemExit

    with moved() as changes, pytest.raises(SystemExit):
        declare(stop)()
    assert changes == {FAILED: 1, took("failed"): 1}


def test_declared_jobs_are_known_by_their_names() -> None:
    declared = declare(seen_id, every_minutes=5)
    assert jobs.declared == {"prune_carts": declared}
    assert declared.every_minutes == 5


@pytest.fixture
def schedule() -> Schedule:
    """Return the one schedule of a job that runs every five minutes."""
    declare(seen_id, every_minutes=5)
    jobs.declared["never"] = Job(seen_id, None)
    jobs.write_schedules()
    made: Schedule = Schedule.objects.get()
    return made


def test_a_periodic_job_is_scheduled_from_now(schedule: Schedule) -> None:
    assert schedule.name == "prune_carts"
    assert schedule.func == f"{__name__}.seen_id"
    assert schedule.schedule_type == Schedule.MINUTES
    assert schedule.minutes == 5
    assert schedule.repeats == -1
    assert schedule.next_run <= timezone.now()


def test_a_correct_schedule_is_left_unchanged(schedule: Schedule) -> None:
    due = timezone.now() + timedelta(minutes=3)
    Schedule.objects.update(next_run=due)
    jobs.write_schedules()
    assert Schedule.objects.get().next_run == due
    assert Schedule.objects.get().pk == schedule.pk


@pytest.mark.parametrize(
    "wrong", [{"minutes": 7}, {"func": "gone.away"}, {"repeats": 3}, {"schedule_type": "D"}]
)
def test_a_wrong_schedule_is_corrected_and_restarted(
    schedule: Schedule, wrong: dict[str, Any]
) -> None:
    Schedule.objects.update(**wrong, next_run=timezone.now() + timedelta(days=300))
    jobs.write_schedules()
    right = Schedule.objects.get()
    for field in ("pk", "name", "func", "schedule_type", "minutes", "repeats"):
        assert getattr(right, field) == getattr(schedule, field)
    assert right.next_run <= timezone.now()


def test_a_schedule_of_a_removed_job_is_deleted(schedule: Schedule) -> None:
    Schedule.objects.create(name="old_job", func="old.path")
    Schedule.objects.create(name="never", func="x.y")
    jobs.write_schedules()
    assert [schedule.name for schedule in Schedule.objects.all()] == ["prune_carts"]
    jobs.declared.clear()
    jobs.write_schedules()
    assert Schedule.objects.count() == 0


def test_queue_gauges_include_waiting_jobs_but_not_running_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    assert jobs.read_queue() == {
        catalogue.JOBS_WAITING: {(): 0},
        catalogue.JOBS_OLDEST_WAITING: {(): 0},
    }
    for seconds in (40, 90.5, 0):
        OrmQ.objects.create(key="vitrine", payload="", lock=now - timedelta(seconds=seconds))
    # A worker has claimed this one until then.
    OrmQ.objects.create(key="vitrine", payload="", lock=now + timedelta(seconds=180))
    assert jobs.read_queue() == {
        catalogue.JOBS_WAITING: {(): 3},
        catalogue.JOBS_OLDEST_WAITING: {(): 90.5},
    }

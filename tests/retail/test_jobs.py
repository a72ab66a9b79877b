"""Jobs are enqueued with their transaction and request id; each run is counted."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.exceptions import TimeoutException
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage
from django_q.timeout import TimeoutHandler

from retail import jobs
from retail.jobs import Job, job
from retail.models import JobSuccess
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
def _own_declarations(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    monkeypatch.setattr(jobs, "declared", {})
    JobSuccess.objects.all().delete()


def declare(function: Callable[..., Any], **times: int) -> Job:
    """Declare a job with the name of an existing one."""
    function.__name__ = "prune_carts"
    return job(**times)(function)


def queued() -> list[dict[str, Any]]:
    return [SignedPackage.loads(task.payload) for task in OrmQ.objects.order_by("pk")]


def seen_id(*args: object) -> tuple[object, ...]:
    return (current_request_id(), *args)


def test_a_job_is_enqueued_by_its_path_with_its_arguments_and_the_request_id() -> None:
    with request_context("r1"):
        Job(seen_id).enqueue(7, "x")
    (task,) = queued()
    assert task["func"] == f"{__name__}.seen_id"
    assert task["args"] == (7, "x")
    assert task["kwargs"] == {"request_id": "r1"}
    assert task["name"] == "seen_id"


def test_a_job_is_enqueued_with_its_transaction_or_not_at_all() -> None:
    def roll_back() -> None:
        with transaction.atomic():
            Job(seen_id).enqueue(1)
            assert len(queued()) == 1
            raise LookupError

    with pytest.raises(LookupError):
        roll_back()
    assert queued() == []
    with transaction.atomic():
        Job(seen_id).enqueue(2)
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


def test_a_run_that_takes_too_long_is_counted_and_logged(lines: Lines) -> None:
    def wait() -> None:
        Event().wait(60)

    with moved() as changes, pytest.raises(TimeoutException), TimeoutHandler(1):
        declare(wait)()
    assert changes == {FAILED: 1, took("failed"): 1}
    (line,) = lines()
    assert (line["message"], line["level"]) == ("event=job.failed", "ERROR")
    assert "maximum timeout value (1 seconds)" in line["extra"]["traceback"]


def test_declared_jobs_are_known_by_their_names() -> None:
    declared = declare(seen_id, every_minutes=5, success_within_minutes=20)
    assert jobs.declared == {"prune_carts": declared}
    assert declared.every_minutes == 5
    assert declared.success_within == timedelta(minutes=20)


@pytest.mark.parametrize(
    "times",
    [
        {"every_minutes": 5},
        {"every_minutes": 5, "success_within_minutes": 5},
        {"success_within_minutes": 5},
    ],
)
def test_a_periodic_job_declares_how_long_it_may_go_without_a_success(
    times: dict[str, int],
) -> None:
    with pytest.raises(ValueError, match="success_within_minutes above every_minutes"):
        declare(seen_id, **times)


def successes() -> dict[str, datetime]:
    return dict(JobSuccess.objects.values_list("task", "at"))


def test_a_periodic_job_stores_its_last_success() -> None:
    outcomes: Iterator[Exception | int] = iter([3, LookupError(), 4])

    def run() -> int:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    declared = declare(run, every_minutes=5, success_within_minutes=20)
    before = timezone.now() - timedelta(seconds=1)  # the database's clock
    assert declared() == 3
    (first,) = successes().values()
    assert before < first < timezone.now() + timedelta(seconds=1)
    old = first - timedelta(hours=1)
    JobSuccess.objects.update(at=old)
    with pytest.raises(LookupError):
        declared()
    assert successes() == {"prune_carts": old}
    declared()
    assert successes()["prune_carts"] >= first


def test_other_jobs_store_no_success() -> None:
    declare(lambda: 3)()
    assert successes() == {}


def test_the_age_of_a_job_counts_from_its_first_schedule(schedule: Schedule) -> None:
    (due,) = successes().values()
    assert timezone.now() - timedelta(minutes=1) < due
    old = due - timedelta(hours=1)
    JobSuccess.objects.update(at=old)
    JobSuccess.objects.create(task="old_job", at=due)
    jobs.write_schedules()  # the next start of the worker
    assert successes() == {"prune_carts": old}


def test_a_job_stands_still_beyond_its_time(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    JobSuccess.objects.update(at=now - timedelta(minutes=20))
    assert jobs.standing_still(now) == {}
    late = timedelta(minutes=20, seconds=1)
    JobSuccess.objects.update(at=now - late)
    assert jobs.standing_still(now) == {"prune_carts": late}
    JobSuccess.objects.all().delete()  # no worker has ever started
    monkeypatch.setattr(jobs, "_STARTED_AT", now - late)
    assert jobs.standing_still(now) == {"prune_carts": late}


def test_gauges_have_the_last_success_and_the_most_age_of_each_periodic_job(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    monkeypatch.setattr(jobs, "_STARTED_AT", now)
    JobSuccess.objects.all().delete()
    most = {catalogue.JOB_MOST_AGE: {("prune_carts",): 1200.0}}
    since = {catalogue.JOB_LAST_SUCCESS: {("prune_carts",): now.timestamp()}}
    assert jobs.read_successes() == {**since, **most}
    JobSuccess.objects.create(task="prune_carts", at=now + timedelta(seconds=7))
    since = {catalogue.JOB_LAST_SUCCESS: {("prune_carts",): now.timestamp() + 7}}
    assert jobs.read_successes() == {**since, **most}


@pytest.fixture
def schedule() -> Schedule:
    """Return the one schedule of a job that runs every five minutes."""
    declare(seen_id, every_minutes=5, success_within_minutes=20)
    jobs.declared["never"] = Job(seen_id)
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


def test_a_start_leaves_one_schedule_of_those_that_were_doubled(schedule: Schedule) -> None:
    for _ in range(2):
        Schedule.objects.create(name=schedule.name, func=schedule.func, args="not (python")
    jobs.write_schedules()
    assert Schedule.objects.get().pk == schedule.pk


def test_what_the_queue_cannot_read_of_a_schedule_is_removed(schedule: Schedule) -> None:
    Schedule.objects.update(args="not (python", kwargs="x", hook="y", cluster="z")
    jobs.write_schedules()
    right = Schedule.objects.get()
    assert (right.args, right.kwargs, right.hook, right.cluster) == (None,) * 4

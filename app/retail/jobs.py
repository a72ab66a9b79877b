"""Background jobs: declaration, enqueuing, schedules and metrics.

    @job()
    def report_order(sale_id: int) -> None: ...

    report_order.enqueue(sale.pk)      # commits or rolls back with the transaction around it

A job may run twice, because a worker may die after the work but before acknowledging it, so jobs
must be idempotent. Declare a periodic job with `@job(every_minutes=…, success_within_minutes=…)`;
the worker writes it to the queue's schedule when it starts. The second number is how long the job
may go without a success: longer, and it stands still (`standing_still`).
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from functools import partial
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Min
from django.db.models.functions import Now
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

from retail.clocks import StoredTime, stored_times
from retail.db.reads import bounded_read
from retail.models import JobSuccess
from retail.observability import runs
from retail.observability.context import (
    accepted_request_id,
    current_request_id,
    request_context,
)
from retail.observability.prometheus import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from retail.observability.prometheus.instruments import DatabaseGauge

logger = logging.getLogger("retail.jobs")

_STARTED_AT = timezone.now()

stored_times.append(StoredTime(OrmQ.objects.all, "lock", partial(timedelta, seconds=Conf.RETRY)))
stored_times.append(StoredTime(JobSuccess.objects.all, "at"))


def record_job(task: str, outcome: str, seconds: float) -> None:
    """Count one run of a job."""
    catalogue.JOBS.inc(task=task, outcome=outcome)
    catalogue.JOB_DURATION.observe(seconds, task=task, outcome=outcome)


def record_killed() -> None:
    """Count and log the runs whose process was killed, which could not do so themselves."""
    for run in runs.take_killed():
        if run.task in catalogue.TASKS:
            record_job(run.task, "failed", time() - run.started)
        else:  # its note was half-written, or of another version
            catalogue.TELEMETRY_ERRORS.inc(sink="metrics")
        logger.error("event=job.killed", extra={"task": run.task, "request_id": run.request_id})


def record_success(task: str) -> None:
    """Store that a periodic job has succeeded just now, by the database's clock."""
    JobSuccess.objects.bulk_create(
        [JobSuccess(task=task, at=Now())],
        update_conflicts=True,
        unique_fields=["task"],
        update_fields=["at"],
    )


class Job:
    """A function that the worker can run. Calling it runs it immediately."""

    def __init__(
        self,
        function: Callable[..., Any],
        every_minutes: int | None = None,
        success_within_minutes: int | None = None,
    ) -> None:
        every, within = every_minutes or 0, success_within_minutes or 0
        if (every or within) and not 0 < every < within:
            raise ValueError("a periodic job needs success_within_minutes above every_minutes")
        self.function = function
        self.name = function.__name__
        self.path = f"{function.__module__}.{function.__qualname__}"
        self.every_minutes = every_minutes
        self.success_within = timedelta(minutes=within)
        self.__doc__ = function.__doc__

    def enqueue(self, *args: object) -> None:
        """Enqueue a run in the current transaction, with the current request id."""
        async_task(self.path, *args, request_id=current_request_id(), task_name=self.name)

    def __call__(self, *args: object, request_id: str = "") -> Any:
        """Run the job, count the run and log it. Raises what the job raises."""
        with request_context(accepted_request_id(request_id)), runs.noted(self.name):
            started = perf_counter()
            outcome = "failed"
            try:
                result = self.function(*args)
                if self.every_minutes:
                    record_success(self.name)
                outcome = "succeeded"
            except BaseException:  # the queue ends a run that takes too long by a SystemExit
                logger.exception("event=job.failed", extra={"task": self.name})
                raise
            finally:
                seconds = perf_counter() - started
                record_job(self.name, outcome, seconds)
            logger.info(
                "event=job.done",
                extra={
                    "task": self.name,
                    "duration_ms": round(seconds * 1000, 1),
                    "result": result,
                },
            )
            return result


declared: dict[str, Job] = {}
# For work that cannot wait for a schedule or behind other jobs: the worker calls each of these in a
# loop, in its own thread. A poller returns how many items it processed; after 0, the thread pauses.
pollers: list[Callable[[], int]] = []
# Set when the worker stops: whatever takes long then ends soon, and gives back what it has claimed.
stopping = threading.Event()


def job(
    *, every_minutes: int | None = None, success_within_minutes: int | None = None
) -> Callable[[Callable[..., Any]], Job]:
    """Declare a function as a background job, optionally a periodic one."""

    def declare(function: Callable[..., Any]) -> Job:
        declared_job = Job(function, every_minutes, success_within_minutes)
        declared[declared_job.name] = declared_job
        catalogue.TASKS.add(declared_job.name)
        if every_minutes:
            catalogue.PERIODIC_TASKS.add(declared_job.name)
            schedule = partial(Schedule.objects.filter, name=declared_job.name)
            period = partial(timedelta, minutes=every_minutes)
            stored_times.append(StoredTime(schedule, "next_run", period))
        return declared_job

    return declare


def _periodic() -> dict[str, Job]:
    return {name: task for name, task in declared.items() if task.every_minutes}


def write_schedules() -> None:
    """Make the stored schedules match the declared periodic jobs exactly.

    A new job is due at once, and its age counts from now on, whether it ever runs or not.
    """
    periodic = _periodic()
    JobSuccess.objects.exclude(task__in=periodic).delete()
    JobSuccess.objects.bulk_create(
        [JobSuccess(task=name, at=Now()) for name in periodic], ignore_conflicts=True
    )
    with transaction.atomic():
        # A schedule's name is not unique: of workers that start at once, one writes at a time.
        list(JobSuccess.objects.select_for_update().order_by("task"))
        Schedule.objects.exclude(name__in=periodic).delete()
        for task in periodic.values():
            _write_schedule(task)


def _write_schedule(task: Job) -> None:
    """Make exactly one schedule of a job right, and due at once if it was not. Under the lock."""
    fields = {
        "func": task.path,
        "schedule_type": Schedule.MINUTES,
        "minutes": task.every_minutes,
        "repeats": -1,
        # What django-q cannot read of one schedule stops all: these belong to nobody here.
        **dict.fromkeys(("args", "kwargs", "hook", "cluster", "intended_date_kwarg")),
    }
    schedules = Schedule.objects.filter(name=task.name).order_by("pk")
    first = schedules.first()
    if first is None:
        Schedule.objects.create(name=task.name, next_run=timezone.now(), **fields)
        return
    schedules.exclude(pk=first.pk).delete()
    if any(getattr(first, field) != value for field, value in fields.items()):
        schedules.update(**fields, next_run=timezone.now())


def read_queue() -> dict[DatabaseGauge, dict[tuple[str, ...], float]]:
    """Return the number of waiting jobs and the age of the oldest in seconds."""
    now = timezone.now()
    with bounded_read():
        waiting = OrmQ.objects.filter(lock__lte=now)
        oldest = waiting.aggregate(oldest=Min("lock"))["oldest"]
        age = (now - oldest) if oldest else timedelta(0)
        return {
            catalogue.JOBS_WAITING: {(): waiting.count()},
            catalogue.JOBS_OLDEST_WAITING: {(): age.total_seconds()},
        }


def _successes() -> dict[str, datetime]:
    """Return when each periodic job last succeeded or, before that, was first due.

    Without a time, no worker has scheduled the job yet: it is due since this process knows of it.
    """
    stored = dict(JobSuccess.objects.values_list("task", "at"))
    return {name: stored.get(name, _STARTED_AT) for name in _periodic()}


def standing_still(now: datetime) -> dict[str, timedelta]:
    """Return the time without a success of each periodic job for which it is too long."""
    ages = {name: now - at for name, at in _successes().items()}
    return {name: age for name, age in sorted(ages.items()) if age > declared[name].success_within}


def read_successes() -> dict[DatabaseGauge, dict[tuple[str, ...], float]]:
    """Return the last success of each periodic job, and how old it may become in seconds."""
    with bounded_read():
        successes = _successes()
    return {
        catalogue.JOB_LAST_SUCCESS: {(name,): at.timestamp() for name, at in successes.items()},
        catalogue.JOB_MOST_AGE: {
            (name,): task.success_within.total_seconds() for name, task in _periodic().items()
        },
    }

"""Health checks of the database, the worker, its jobs and queue, and the disk."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection

from retail import jobs
from retail.health import Finding, health_check
from retail.observability.prometheus import catalogue
from retail.templatetags.durations import duration
from retail.thresholds import THRESHOLDS, in_words
from retail.web.probes import database_checks, worker_check

HEARTBEAT_MAX_AGE = in_words(THRESHOLDS.worker.silent_after_seconds)


@health_check("Database")
def database(_now: datetime) -> Finding:
    """Check that the database responds and is migrated."""
    try:
        checks = database_checks()
    except DatabaseError:
        return Finding("bad", "down", "The database is not responding.")
    if checks["migrations"] != "ok":
        return Finding("bad", "not migrated", checks["migrations"])
    return Finding("good", "up", f"{connection.display_name}, migrations applied.")


@health_check("Worker")
def worker(_now: datetime) -> Finding:
    """Check the worker's heartbeat."""
    state = worker_check()
    if state == "ok":
        return Finding("good", "running", f"Heartbeat in the last {HEARTBEAT_MAX_AGE}.")
    word, _, detail = state.replace("`", "").partition(": ")
    return Finding("bad", word, f"{detail[:1].upper()}{detail[1:]}")


@health_check("Job queue")
def queue(_now: datetime) -> Finding:
    """Check how long the oldest job has been waiting."""
    gauges = jobs.read_queue()
    waiting = int(gauges[catalogue.JOBS_WAITING][()])
    oldest = gauges[catalogue.JOBS_OLDEST_WAITING][()]
    limits = THRESHOLDS.queue
    plural = "" if waiting == 1 else "s"
    detail = f"{waiting:,} job{plural} waiting; longest wait {duration(timedelta(seconds=oldest))}."
    if oldest > limits.most_waiting_seconds:
        return Finding("bad", "stalled", detail)
    if oldest > limits.warning_waiting_seconds:
        return Finding("warn", "slow", detail)
    return Finding("good", "keeping up", detail if waiting else "No jobs waiting.")


@health_check("Periodic jobs")
def periodic_jobs(now: datetime) -> Finding:
    """Check that no periodic job has gone without a success for too long."""
    late = jobs.standing_still(now)
    if not late:
        return Finding("good", "on time", "No job is overdue.")
    ages = ", ".join(f"{name} for {duration(age)}" for name, age in late.items())
    return Finding("bad", "standing still", f"No success of {ages}. See the worker's log.")


@health_check("Disk")
def disk(_now: datetime) -> Finding:
    """Check the free space for the shop's files and logs."""
    folders = {Path(settings.VAR_DIR), Path(settings.LOG_DIR)}
    disks = [shutil.disk_usage(folder) for folder in folders if folder.exists()]
    if not disks:
        return Finding("calm", "not used", "No files on disk yet.")
    fullest = min(disks, key=lambda usage: usage.free / usage.total)
    share = fullest.free / fullest.total
    detail = f"{100 * share:.0f} % free, {fullest.free / 1e9:,.0f} GB."
    if share < THRESHOLDS.disk.least_free_ratio:
        return Finding("bad", "almost full", detail)
    if share < THRESHOLDS.disk.warning_free_ratio:
        return Finding("warn", "filling up", detail)
    return Finding("good", "enough space", detail)

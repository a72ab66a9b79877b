"""Health checks of the database, the worker, its jobs and queue, and the disk."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count, Max, Min, Q, Sum
from django.urls import reverse

from retail import jobs, measures
from retail.audit.declare import OVERSOLD
from retail.audit.results import STALE_AFTER
from retail.health import Finding, Harm, counted, health_check
from retail.mail import outbox
from retail.models import AuditCheck, AuditViolation, Email, WorkerHeartbeat
from retail.observability.prometheus import catalogue
from retail.templatetags.durations import ago, duration
from retail.thresholds import THRESHOLDS, in_words
from retail.web.probes import database_checks, worker_check

EMAILS_NAMED = 3
HEARTBEAT_MAX_AGE = in_words(THRESHOLDS.worker.silent_after_seconds)


@health_check("Database", Harm.NO_SALES)
def database(_now: datetime) -> Finding:
    """Check that the database responds and is migrated."""
    try:
        checks = database_checks()
    except DatabaseError:
        step = "Start the database. /readyz reports when it responds again."
        return Finding("bad", "down", "The database is not responding.", step=step)
    if checks["migrations"] != "ok":
        return Finding(
            "bad", "not migrated", checks["migrations"], step="Run manage.py migrate, then restart."
        )
    return Finding("good", "up", f"{connection.display_name}, migrations applied.")


@health_check("Worker")
def worker(now: datetime) -> Finding:
    """Check the worker's heartbeat."""
    state = worker_check()
    if state == "ok":
        return Finding("good", "running", f"Heartbeat in the last {HEARTBEAT_MAX_AGE}.")
    word, _, detail = state.replace("`", "").partition(": ")
    waiting = sum(row.count for row in measures.open_payments(now))
    return Finding(
        "bad",
        word,
        f"{detail[:1].upper()}{detail[1:]}",
        since=WorkerHeartbeat.objects.aggregate(last=Max("seen_at"))["last"],
        affected=f"{counted(waiting, 'payment')} not settled",
        step="Start the worker: manage.py worker, or docker compose up -d worker.",
        runbook="RetailTargetDown",
    )


@health_check("Books", Harm.BOOKS)
def books(now: datetime) -> Finding:
    """Check that the audits found no violation. An open one counts, however old the audit is."""
    found = AuditViolation.objects.filter(resolved_at__isnull=True).aggregate(
        count=Count("pk"),
        units=Sum("amount", filter=Q(invariant=OVERSOLD)),
        since=Min("found_at"),
    )
    if found["count"]:
        units = found["units"] or 0
        runbook = "RetailOversold" if units else "RetailInvariantViolated"
        return Finding(
            "bad",
            "oversold" if units else "do not agree",
            f"Open violations of the shop's invariants: {found['count']:,}.",
            reverse("admin:app_list", args=["retail"]),
            since=found["since"],
            affected=f"{counted(units, 'unit')} oversold" if units else "",
            step="List them with manage.py audit; take oversold products off sale first.",
            runbook=runbook,
        )
    checked_at = AuditCheck.objects.aggregate(last=Max("checked_at"))["last"]
    if checked_at is None:
        return Finding("calm", "not audited yet", "The worker audits them every minute.")
    if now - checked_at > STALE_AFTER:
        detail = f"Last audited {ago(checked_at, now)}. Is the worker running?"
        return Finding("warn", "not audited", detail)
    return Finding("good", "agree", f"Audited {ago(checked_at, now)}.")


@health_check("Job queue")
def queue(now: datetime) -> Finding:
    """Check how long the oldest job has been waiting."""
    gauges = jobs.read_queue()
    waiting = int(gauges[catalogue.JOBS_WAITING][()])
    oldest = gauges[catalogue.JOBS_OLDEST_WAITING][()]
    limits = THRESHOLDS.queue
    detail = (
        f"{counted(waiting, 'job')} waiting; longest wait {duration(timedelta(seconds=oldest))}."
    )
    if oldest > limits.most_waiting_seconds:
        return Finding(
            "bad",
            "stalled",
            detail,
            since=now - timedelta(seconds=oldest),
            step="Find event=job.failed in the worker's log, and restart the worker.",
            runbook="RetailQueueStalled",
        )
    if oldest > limits.warning_waiting_seconds:
        return Finding("warn", "slow", detail)
    return Finding("good", "keeping up", detail if waiting else "No jobs waiting.")


@health_check("E-mails")
def emails(now: datetime) -> Finding:
    """Check that the mail server accepts e-mails, and that none was given up in the last day."""
    gauges = outbox.read_waiting()
    waiting = int(gauges[catalogue.EMAILS_WAITING][()])
    oldest = timedelta(seconds=gauges[catalogue.EMAILS_OLDEST_WAITING][()])
    detail = f"{counted(waiting, 'e-mail')} waiting; longest wait {duration(oldest)}."
    if oldest.total_seconds() > THRESHOLDS.emails.most_waiting_seconds:
        return Finding(
            "bad",
            "late",
            detail,
            reverse("admin:retail_email_changelist"),
            since=now - oldest,
            affected=f"{counted(waiting, 'e-mail')} not sent",
            step="Find event=email.deferred in the worker's log: it has the mail server's error.",
            runbook="RetailEmailsLate",
        )
    lost = Email.objects.filter(ended_at__gt=now - outbox.KEEP_TRYING, state__in=outbox.LOST)
    if count := lost.count():
        named = lost.order_by("-ended_at").values_list("kind", "about")[:EMAILS_NAMED]
        names = ", ".join(f"{kind} {about}" for kind, about in named)
        return Finding(
            "warn",
            "not delivered",
            f"{counted(count, 'e-mail')} given up in the last day: {names}"
            + (" …" if count > EMAILS_NAMED else "."),
            reverse("admin:retail_email_changelist") + "?state__in=given_up,uncertain",
            step="Once the mail server works, send them again in the admin.",
            runbook="RetailEmailsLate",
        )
    return Finding("good", "sent", detail if waiting else "No e-mails waiting.")


@health_check("Periodic jobs")
def periodic_jobs(now: datetime) -> Finding:
    """Check that no periodic job has gone without a success for too long."""
    late = jobs.standing_still(now)
    if not late:
        return Finding("good", "on time", "No job is overdue.")
    ages = ", ".join(f"{name} for {duration(age)}" for name, age in late.items())
    return Finding("bad", "standing still", f"No success of {ages}. See the worker's log.")


@health_check("Telemetry", Harm.MONITORING)
def telemetry(now: datetime) -> Finding:
    """Check that this process has lost no metrics, rows or log lines lately."""
    last = catalogue.TELEMETRY_ERRORS.last_at
    if last is None:
        return Finding("good", "complete", "This process has lost nothing.")
    at = datetime.fromtimestamp(last, UTC)
    recently = now - at < timedelta(seconds=THRESHOLDS.telemetry.window_seconds)
    if not recently:
        return Finding("good", "complete", f"Last loss {ago(at, now)}.")
    return Finding(
        "warn",
        "losing data",
        f"Metrics or log lines were lost {ago(at, now)}. Sales are not affected.",
        since=at,
        step="Run df -h. Is a disk full? Standard error has the traceback.",
        runbook="RetailTelemetryFailing",
    )


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
        return Finding("bad", "almost full", detail, step="Free some space on it.")
    if share < THRESHOLDS.disk.warning_free_ratio:
        return Finding("warn", "filling up", detail)
    return Finding("good", "enough space", detail)

"""What fails silently: periodic jobs, backups, gauges nobody reports, clocks, messages, disks."""

from alerts.model import Alert, Group, span
from alerts.queries import happened, last_known
from retail.thresholds import THRESHOLDS, in_words

BACKUPS = THRESHOLDS.backups
CLOCKS = THRESHOLDS.clocks
DISK = THRESHOLDS.disk
JOBS = THRESHOLDS.periodic_jobs
MISSING = THRESHOLDS.gauges
NOTIFICATIONS = THRESHOLDS.notifications

# Reported at every scrape; a test compares. The audit's other gauge has RetailAuditStale, and a
# quality scenario has none without evidence.
GAUGES = (
    "retail_oversold_units",
    "retail_jobs_waiting",
    "retail_jobs_oldest_waiting_seconds",
    "retail_emails_waiting",
    "retail_emails_oldest_waiting_seconds",
    "retail_job_last_success_timestamp_seconds",
    "retail_job_most_age_seconds",
    "retail_backup_last_success_timestamp_seconds",
    "retail_backups_expected",
    "retail_circuit_breaker_state",
    "retail_payments_unknown",
    "retail_payments_unknown_oldest_seconds",
    "retail_refunds_unsettled",
    "retail_refunds_unsettled_oldest_seconds",
    "retail_refunds_reopened",
    "retail_returns_waiting",
    "retail_returns_oldest_seconds",
    "retail_feed_ingestions_total",
    "retail_feeds_held",
    "retail_feeds_held_oldest_seconds",
)
# Of other programs.
OTHERS = ("probe_success", "node_filesystem_avail_bytes")

LAST_SUCCESS = last_known(
    "service:retail_job_last_success_timestamp_seconds:last",
    "max by (task) (retail_job_last_success_timestamp_seconds)",
    gauge="retail_job_last_success_timestamp_seconds",
)
MOST_AGE = last_known(
    "service:retail_job_most_age_seconds:last",
    "max by (task) (retail_job_most_age_seconds)",
    gauge="retail_job_most_age_seconds",
)
JOB_OVERDUE = Alert(
    name="RetailJobOverdue",
    # The last line: a job that has never succeeded.
    expr=f"time() - {LAST_SUCCESS.record} > on (task) {MOST_AGE.record}\n"
    f"or {MOST_AGE.record} unless on (task) {LAST_SUCCESS.record}",
    for_seconds=JOBS.for_seconds,
    severity="warning",
    service="worker",
    summary="Periodic job {{ $labels.task }} no longer succeeds",
    description="The job fails at every run, or does not run. It has gone without a success for "
    "longer than its declaration allows. First steps:",
    steps=(
        (
            "Run docker compose logs --since 1h worker and find event=job.failed with task "
            "{{ $labels.task }}. It contains the traceback."
        ),
        (
            "If there is none, the job does not run. Run docker compose ps worker. In the admin, "
            "under Background jobs, Scheduled tasks, when is its next run?"
        ),
        "Run docker compose restart worker. An interrupted job runs again, which is safe.",
    ),
    dashboard="retail-jobs",
    logs=(("var-service", "worker"), ("var-level", "ERROR")),
)

LAST_BACKUP = last_known(
    "service:retail_backup_last_success_timestamp_seconds:last",
    "max(retail_backup_last_success_timestamp_seconds)",
)
BACKUPS_EXPECTED = last_known(
    "service:retail_backups_expected:last", "max(retail_backups_expected)"
)
BACKUP_OLD = Alert(
    name="RetailBackupOld",
    # Before the first backup, the age is that of the database.
    expr=f"(time() - {LAST_BACKUP.record} > {BACKUPS.most_age_seconds})\n"
    f"and on () {BACKUPS_EXPECTED.record} == 1",
    for_seconds=BACKUPS.for_seconds,
    severity="warning",
    service="shop",
    summary="The last good backup is {{ $value | humanizeDuration }} old",
    description=f"For more than {in_words(BACKUPS.most_age_seconds)}, no backup has succeeded. If "
    "the database were lost now, all orders since then would be lost with it. First steps:",
    steps=(
        "Run make backup on the host. What does it say?",
        (
            "If it succeeds, the schedule does not run: look at the cron line of docs/backups.md "
            "and at its log."
        ),
        "If it fails, check free space (df -h), docker compose ps db, and BACKUP_KEY in .env.",
    ),
    dashboard="retail-system",
    logs=(),  # who makes backups reads what they say
)

GAUGE_MISSING = Alert(
    name="RetailGaugeMissing",
    expr="\nor ".join(
        f'label_replace(absent({name}), "gauge", "{name}", "", "")' for name in (*GAUGES, *OTHERS)
    ),
    for_seconds=MISSING.missing_for_seconds,
    severity="warning",
    service="watch",
    summary="Nobody reports {{ $labels.gauge }}",
    description="No process has reported this value for "
    f"{in_words(MISSING.missing_for_seconds)}. Alerts on it keep their last state, and cannot "
    "notice anything new. First steps:",
    steps=(
        "Run curl http://localhost:8000/readyz and docker compose ps. Is the database available?",
        (
            "Run docker compose logs --since 20m web worker and find event=metrics.source_failed. "
            "It contains the traceback."
        ),
        (
            "probe_success and node_filesystem_avail_bytes come from the services blackbox and "
            "node-exporter: docker compose up -d blackbox node-exporter."
        ),
    ),
    dashboard="retail-watch",
    logs=(("var-logger", "retail.observability"), ("var-level", "ERROR")),
)

_CLOCK = "retail_clock_timestamp_seconds"
CLOCK_WRONG = Alert(
    name="RetailClockWrong",
    # `timestamp` is the time of the scrape by Prometheus' clock.
    expr=f"abs({_CLOCK} - timestamp({_CLOCK})) > {CLOCKS.most_seconds}",
    for_seconds=CLOCKS.for_seconds,
    severity="warning",
    service="watch",
    summary="The clock of {{ $labels.job }} at {{ $labels.instance }} is off by "
    "{{ $value | humanizeDuration }}",
    description=f"The clocks of the process and of Prometheus differ by more than "
    f"{in_words(CLOCKS.most_seconds)}. Heartbeats, the age of payments, flash-sale times and log "
    "lines of this process are wrong. First steps:",
    steps=(
        "Run date -u on the host of the process and on that of Prometheus. Which one is wrong?",
        (
            "Run timedatectl there. Is the clock synchronized? If not: systemctl restart "
            "systemd-timesyncd (or chronyd)."
        ),
        "Containers use their host's clock. Restart a virtual machine that was suspended.",
    ),
    dashboard="retail-watch",
    logs=(("var-service", "{{ $labels.job }}"),),
)

UNDELIVERED = Alert(
    name="RetailNotificationsFailing",
    expr=happened(
        "alertmanager_notifications_failed_total",
        span(NOTIFICATIONS.window_seconds),
        NOTIFICATIONS.most_failures,
        by="integration",
    ),
    severity="warning",
    service="watch",
    summary="Alertmanager cannot notify by {{ $labels.integration }}",
    description="In the last "
    f"{in_words(NOTIFICATIONS.window_seconds)}, alerts have not reached a receiver. webhook is the "
    "shop's own alerts page, or the dead man's switch. First steps:",
    steps=(
        "Run docker compose logs --since 10m alertmanager. It names the receiver and the error.",
        (
            "webhook with 401 or 403: ALERTS_TOKEN has changed. Run docker compose up -d "
            "--force-recreate config alertmanager. Otherwise: docker compose ps web."
        ),
        "email, slack, pagerduty: check the ALERT_… settings in .env, then recreate as above.",
    ),
    dashboard="retail-watch",
    logs=(),
)

FREE = last_known(
    "service:disk_free_ratio:last",
    "min by (disk) (label_replace(\n"
    '  node_filesystem_avail_bytes{mountpoint=~"/disks/.+"}'
    ' / node_filesystem_size_bytes{mountpoint=~"/disks/.+"},\n'
    '  "disk", "$1", "mountpoint", "/disks/(.+)"\n))',
    gauge="node_filesystem_avail_bytes",
)
_DISK_STEPS = (
    (
        "Run df -h on the host and docker system df -v. What fills the disk? Old images: docker "
        "image prune."
    ),
    (
        "logs: delete rotated files (docker compose exec web ls -l /app/logs). prometheus: lower "
        "--storage.tsdb.retention.size in docker-compose.yml. loki: lower retention_period in "
        "loki/loki.yml."
    ),
    (
        "db: docker compose exec web python manage.py prune_metrics deletes old rows. Do not "
        "delete files of the database by hand; enlarge the disk."
    ),
)


def disk_full(severity: str, least: float, consequence: str) -> Alert:
    """Return the alert on a disk for one severity."""
    return Alert(
        name="RetailDiskFull",
        expr=f"{FREE.record} < {least}",
        for_seconds=DISK.for_seconds,
        severity=severity,
        service="watch",
        summary="The disk of {{ $labels.disk }} is almost full: "
        "{{ $value | humanizePercentage }} free",
        description=f"Less than {least:.0%} of the disk is free. {consequence} First steps:",
        steps=_DISK_STEPS,
        dashboard="retail-system",
        logs=(("var-level", "ERROR"),),
    )


GROUPS = (
    Group(
        "retail_upkeep",
        (
            LAST_SUCCESS,
            MOST_AGE,
            FREE,
            LAST_BACKUP,
            BACKUPS_EXPECTED,
            JOB_OVERDUE,
            BACKUP_OLD,
            GAUGE_MISSING,
            CLOCK_WRONG,
            UNDELIVERED,
            disk_full(
                "critical",
                DISK.least_free_ratio,
                "Once it is full, the database stops, or logs and metrics are lost.",
            ),
            disk_full(
                "warning", DISK.warning_free_ratio, "There is still time to clean up calmly."
            ),
        ),
    ),
)

"""Watching the workers, and watching the watch."""

from alerts.model import Alert, Group, span
from alerts.stock import happened
from retail.thresholds import THRESHOLDS

QUEUE = THRESHOLDS.queue
TARGETS = THRESHOLDS.targets
TELEMETRY = THRESHOLDS.telemetry

QUEUE_STALLED = Alert(
    name="RetailQueueStalled",
    expr=f"max(retail_jobs_oldest_waiting_seconds) > {QUEUE.most_waiting_seconds}",
    for_seconds=QUEUE.for_seconds,
    severity="warning",
    service="worker",
    summary="A background job has waited for {{ $value | humanizeDuration }}",
    description="Jobs take seconds and begin at once. Nobody works the queue off, or one job "
    "blocks the others: letters, clean-up and the audit wait. Orders do not depend on it. "
    "First steps:",
    steps=(
        (
            "docker compose ps worker; docker compose logs --since 20m worker, lines "
            "event=job.done and event=job.failed: does it work at all?"
        ),
        "docker compose restart worker: a job that was under way runs again, which is safe.",
        "In the admin, Background jobs, Queued tasks: is one kind of job flooding the queue?",
    ),
    dashboard="retail-jobs",
    logs=(("var-service", "worker"), ("var-logger", "retail.jobs")),
)

ALL_DOWN = Alert(
    name="RetailTargetDown",
    # A name without containers is not resolved, and then there is no `up` at all.
    expr='max by (job) (up{job=~"web|worker"}) == 0\n'
    'or absent(up{job="web"})\n'
    'or absent(up{job="worker"})',
    for_seconds=TARGETS.critical_for_seconds,
    severity="critical",
    service="watch",
    summary="No {{ $labels.job }} process answers Prometheus",
    description="Either the shop is down, or the watch has lost sight of it: its other alerts are "
    "blind meanwhile. First steps:",
    steps=(
        (
            "docker compose ps {{ $labels.job }}; docker compose logs --since 10m {{ $labels.job "
            "}}. Start it again: docker compose up -d {{ $labels.job }}."
        ),
        (
            "It runs: does Prometheus get in? Status, Targets on http://localhost:9090 has the "
            "error; 401 means that METRICS_TOKEN has changed: docker compose up -d "
            "--force-recreate config prometheus."
        ),
        "It is killed again and again: docker inspect tells whether for want of memory.",
    ),
    dashboard="retail-system",
    logs=(("var-service", "{{ $labels.job }}"), ("var-level", "ERROR")),
)
ONE_DOWN = Alert(
    name="RetailTargetDown",
    expr="up == 0",
    for_seconds=TARGETS.warning_for_seconds,
    severity="warning",
    service="watch",
    summary="{{ $labels.job }} at {{ $labels.instance }} does not answer Prometheus",
    description="One process of the shop, or one part of its watch, is down or cannot be read. "
    "First steps:",
    steps=(
        (
            "docker compose ps {{ $labels.job }}; docker compose logs --since 10m {{ $labels.job "
            "}}. Start it again: docker compose up -d {{ $labels.job }}."
        ),
        "It runs: Status, Targets on http://localhost:9090 has the error of the last scrape.",
    ),
    dashboard="retail-watch",
    logs=(("var-service", "{{ $labels.job }}"),),
)

_WINDOW = span(TELEMETRY.window_seconds)
_DROPPED = happened("retail_metric_rows_dropped_total", _WINDOW, TELEMETRY.most_failures)
TELEMETRY_FAILING = Alert(
    name="RetailTelemetryFailing",
    expr=happened("retail_telemetry_errors_total", _WINDOW, TELEMETRY.most_failures, by="sink")
    + f'\nor label_replace({_DROPPED}, "sink", "dropped rows", "", "")',
    severity="ticket",
    service="watch",
    summary="The shop's own watching fails: {{ $labels.sink }}",
    description="No sale was harmed, but numbers or lines are missing: dashboards and the in-app "
    "pages show less than happened. First steps:",
    steps=(
        (
            "docker compose logs --since 30m web worker, lines event=metric_rows.not_written, "
            "event=metrics.source_failed and event=audit.failed hold the traceback."
        ),
        "df -h; docker compose ps db: a full disk or a database that is away is the usual reason.",
    ),
    dashboard="retail-watch",
    logs=(("var-logger", "retail.observability"), ("var-level", "ERROR")),
)

WATCHDOG = Alert(
    name="Watchdog",
    expr="vector(1)",
    severity="none",
    service="watch",
    summary="The chain from Prometheus over Alertmanager to the shop works",
    description="This alert fires always; the shop notices when it no longer hears of it. When it "
    "is missing:",
    steps=(
        "docker compose ps prometheus alertmanager config; start again what is not running.",
        (
            "docker compose logs --since 10m alertmanager: can it reach the shop? 401 or 403 means "
            "that ALERTS_TOKEN has changed: docker compose up -d --force-recreate config "
            "alertmanager."
        ),
    ),
    dashboard="retail-watch",
    logs=(),
)

GROUPS = (
    Group("retail_monitoring", (QUEUE_STALLED, ALL_DOWN, ONE_DOWN, TELEMETRY_FAILING, WATCHDOG)),
)

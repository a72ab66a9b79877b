"""The worker's queue and outbox, scrape targets, and the health of monitoring itself."""

from alerts.model import Alert, Group, span
from alerts.queries import happened, last_known
from retail.thresholds import THRESHOLDS, in_words

EMAILS = THRESHOLDS.emails
QUEUE = THRESHOLDS.queue
TARGETS = THRESHOLDS.targets
TELEMETRY = THRESHOLDS.telemetry

OLDEST_WAITING = last_known(
    "service:retail_jobs_oldest_waiting_seconds:last", "max(retail_jobs_oldest_waiting_seconds)"
)
QUEUE_STALLED = Alert(
    name="RetailQueueStalled",
    expr=f"service:retail_jobs_oldest_waiting_seconds:last > {QUEUE.most_waiting_seconds}",
    for_seconds=QUEUE.for_seconds,
    severity="warning",
    service="worker",
    summary="A background job has been waiting for {{ $value | humanizeDuration }}",
    description="Jobs normally start immediately and take seconds. Either no worker is running, or "
    "one job blocks the others. Rollups, clean-up and the audit are delayed; orders and e-mails do "
    "not depend on the queue. First steps:",
    steps=(
        (
            "Run docker compose ps worker and docker compose logs --since 20m worker. Do "
            "event=job.done or event=job.failed still appear?"
        ),
        "Run docker compose restart worker. An interrupted job runs again, which is safe.",
        "In the admin, open Background jobs, Queued tasks. Is one kind of job flooding the queue?",
    ),
    dashboard="retail-jobs",
    logs=(("var-service", "worker"), ("var-logger", "retail.jobs")),
)

OLDEST_EMAIL = last_known(
    "service:retail_emails_oldest_waiting_seconds:last", "max(retail_emails_oldest_waiting_seconds)"
)
EMAILS_LATE = Alert(
    name="RetailEmailsLate",
    expr=f"service:retail_emails_oldest_waiting_seconds:last > {EMAILS.most_waiting_seconds}",
    for_seconds=EMAILS.for_seconds,
    severity="warning",
    service="worker",
    summary="An e-mail has been waiting for {{ $value | humanizeDuration }}",
    description="The mail server has not accepted an e-mail for more than "
    f"{in_words(EMAILS.most_waiting_seconds)}. Confirmations and password resets are late; orders "
    "are not affected. An e-mail is tried for a day, then given up. First steps:",
    steps=(
        (
            "Run docker compose logs --since 1h worker and find event=email.deferred. It has the "
            "mail server's error. If there is none: docker compose ps worker."
        ),
        "Check EMAIL_HOST and the other EMAIL_… settings in .env, and the mail server itself.",
        (
            "In the admin, under E-mails, send again what was given up. Nothing else is needed: "
            "what waits is sent once the mail server accepts it."
        ),
    ),
    dashboard="retail-jobs",
    logs=(("var-service", "worker"), ("var-logger", "retail.mail")),
)

ALL_DOWN = Alert(
    name="RetailTargetDown",
    # A service without containers has no DNS record, and then there is no `up` series.
    expr='max by (job) (up{job=~"web|worker"}) == 0\n'
    'or absent(up{job="web"})\n'
    'or absent(up{job="worker"})',
    for_seconds=TARGETS.critical_for_seconds,
    severity="critical",
    service="watch",
    summary="Prometheus cannot scrape any {{ $labels.job }} process",
    description="Either the service is down, or Prometheus cannot reach it. Until this is fixed, "
    "the other alerts on this service cannot fire. First steps:",
    steps=(
        (
            "Run docker compose ps {{ $labels.job }} and docker compose logs --since 10m "
            "{{ $labels.job }}. If it is down: docker compose up -d {{ $labels.job }}."
        ),
        (
            "If it is running, check the scrape error under Status, Target health on "
            "http://localhost:9090. 401 means that METRICS_TOKEN has changed: docker compose up -d "
            "--force-recreate config prometheus."
        ),
        "If it restarts repeatedly, docker inspect shows whether it was OOMKilled.",
    ),
    dashboard="retail-system",
    logs=(("var-service", "{{ $labels.job }}"),),
)
ONE_DOWN = Alert(
    name="RetailTargetDown",
    # Several targets are scraped through the blackbox exporter; it is one process.
    expr="min by (job, instance) (up) == 0",
    for_seconds=TARGETS.warning_for_seconds,
    severity="warning",
    service="watch",
    summary="Prometheus cannot scrape {{ $labels.job }} at {{ $labels.instance }}",
    description="One process of the shop or of its monitoring is down or cannot be scraped. "
    "First steps:",
    steps=(
        (
            "Run docker compose ps {{ $labels.job }} and docker compose logs --since 10m "
            "{{ $labels.job }}. If it is down: docker compose up -d {{ $labels.job }}."
        ),
        (
            "If it is running, check the scrape error under Status, Target health on "
            "http://localhost:9090."
        ),
    ),
    dashboard="retail-watch",
    logs=(),  # only the shop and the gateway have log lines in Loki
)

_WINDOW = span(TELEMETRY.window_seconds)
_DROPPED = happened("retail_metric_rows_dropped_total", _WINDOW, TELEMETRY.most_failures)
TELEMETRY_FAILING = Alert(
    name="RetailTelemetryFailing",
    expr=happened("retail_telemetry_errors_total", _WINDOW, TELEMETRY.most_failures, by="sink")
    + f'\nor label_replace({_DROPPED}, "sink", "dropped rows", "", "")',
    severity="ticket",
    service="watch",
    summary="The shop is losing telemetry: {{ $labels.sink }}",
    description="No sale is affected, but metrics or log lines are missing. Dashboards and the "
    "in-app pages are incomplete. First steps:",
    steps=(
        (
            "Run docker compose logs --since 30m web worker and find "
            "event=metric_rows.not_written, event=metrics.source_failed and event=audit.failed. "
            "They contain the traceback."
        ),
        (
            "Run df -h and docker compose ps db. The usual cause is a full disk or an unavailable "
            "database."
        ),
    ),
    dashboard="retail-watch",
    logs=(
        ("var-logger", "retail.observability"),
        ("var-logger", "retail.audit"),
        ("var-logger", "retail.throttling"),
        ("var-level", "ERROR"),
    ),
)

WATCHDOG = Alert(
    name="Watchdog",
    expr="vector(1)",
    severity="none",
    service="watch",
    summary="Alerting works: Prometheus and Alertmanager reach the shop",
    description="This alert always fires, so that the shop notices when notifications stop. If it "
    "is missing:",
    steps=(
        (
            "Run docker compose ps -a prometheus alertmanager config. Restart prometheus or "
            "alertmanager if it is not running; config must have exited with 0."
        ),
        (
            "Run docker compose logs --since 10m alertmanager. Can it reach the shop? 401 or 403 "
            "means that ALERTS_TOKEN has changed: docker compose up -d --force-recreate config "
            "alertmanager."
        ),
    ),
    dashboard="retail-watch",
    logs=(),
)

GROUPS = (
    Group(
        "retail_monitoring",
        (
            OLDEST_WAITING,
            QUEUE_STALLED,
            OLDEST_EMAIL,
            EMAILS_LATE,
            ALL_DOWN,
            ONE_DOWN,
            TELEMETRY_FAILING,
            WATCHDOG,
        ),
    ),
)

"""The alert rule that Loki evaluates. Loki sends alerts to Alertmanager as Prometheus does."""

from alerts.model import Alert, Group, span
from retail.thresholds import THRESHOLDS, in_words

LIMIT = THRESHOLDS.log_errors
WINDOW = span(LIMIT.window_seconds)

LOG_ERRORS_BURST = Alert(
    name="RetailLogErrorsBurst",
    # Without `keep`, every request_id would become its own series.
    expr='sum by (service_name) (count_over_time({level=~"ERROR|CRITICAL"} | keep service_name '
    f"[{WINDOW}])) > {LIMIT.most_lines}",
    severity="warning",
    service="shop",
    summary="{{ $labels.service_name }} logged {{ $value }} errors in "
    f"{in_words(LIMIT.window_seconds)}",
    description=f"More than {LIMIT.most_lines} log lines at level ERROR or CRITICAL in "
    f"{in_words(LIMIT.window_seconds)}. Every one of them needs attention. First steps:",
    steps=(
        (
            "Run docker compose logs --since 10m {{ $labels.service_name }}. Which event is it, "
            "and what does extra.traceback say?"
        ),
        (
            "Look up the event in docs/logging.md. To see everything about one request, search for "
            "its request_id."
        ),
    ),
    dashboard="retail-logs",
    logs=(
        ("var-service", "{{ $labels.service_name }}"),
        ("var-level", "ERROR"),
        ("var-level", "CRITICAL"),
    ),
)

GROUPS = (Group("retail_logs", (LOG_ERRORS_BURST,), every=30),)

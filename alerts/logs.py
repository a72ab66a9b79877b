"""Loki's own rule, which it sends to Alertmanager like Prometheus does."""

from alerts.model import Alert, Group, span
from retail.thresholds import THRESHOLDS

LIMIT = THRESHOLDS.log_errors
WINDOW = span(LIMIT.window_seconds)

LOG_ERRORS_BURST = Alert(
    name="RetailLogErrorsBurst",
    # Without `keep`, every request_id would be a series of its own.
    expr='sum by (service_name) (count_over_time({level=~"ERROR|CRITICAL"} | keep service_name '
    f"[{WINDOW}])) > {LIMIT.most_lines}",
    severity="warning",
    service="shop",
    summary="{{ $labels.service_name }} wrote {{ $value }} errors into its log",
    description=f"More than {LIMIT.most_lines} lines of level ERROR or CRITICAL in {WINDOW}. An "
    "ERROR is something that somebody should look at. First steps:",
    steps=(
        (
            "docker compose logs --since 10m {{ $labels.service_name }}: which event is it, and "
            "what does extra.traceback say?"
        ),
        (
            "The event's meaning is in docs/logging.md; the request_id of a line leads to all that "
            "happened to that request."
        ),
    ),
    dashboard="retail-logs",
    logs=(("var-service", "{{ $labels.service_name }}"), ("var-level", "ERROR")),
)

GROUPS = (Group("retail_logs", (LOG_ERRORS_BURST,), every=30),)

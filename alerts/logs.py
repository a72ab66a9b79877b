"""The alert rules that Loki evaluates. Loki sends alerts to Alertmanager as Prometheus does."""

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

PROXY = THRESHOLDS.proxy_errors

PROXY_ERRORS_HIGH = Alert(
    name="RetailProxyErrorsHigh",
    # What the proxy answers because the shop does not. The shop cannot count it.
    expr='sum(count_over_time({service_name="proxy",logger="proxy.errors",level="WARNING"} '
    f"| keep service_name [{span(PROXY.window_seconds)}])) > {PROXY.most_responses}",
    for_seconds=PROXY.for_seconds,
    severity="critical",
    service="shop",
    summary="The proxy answers visitors with errors, because the shop does not answer",
    description=f"For {in_words(PROXY.for_seconds)}, the proxy has answered more than "
    f"{PROXY.most_responses} requests in {in_words(PROXY.window_seconds)} with a 5xx of its own. "
    "The shop's own error rate does not include them. First steps:",
    steps=(
        (
            "Run docker compose ps web proxy and docker compose logs --since 10m web. If web is "
            "down: docker compose up -d web. If it hangs: docker compose restart web."
        ),
        (
            "Run docker compose logs --since 10m proxy. Status 502: it cannot reach web; 504: web "
            "does not answer in time; 500: its /tmp is full."
        ),
        "If web is healthy, run docker compose restart proxy.",
    ),
    dashboard="retail-logs",
    logs=(("var-service", "proxy"), ("var-level", "WARNING")),
)

GROUPS = (Group("retail_logs", (LOG_ERRORS_BURST, PROXY_ERRORS_HIGH), every=30),)

"""What visitors are answered. Counters of all processes are summed: `rate` knows about restarts."""

from alerts.model import Alert, Group, Recording, span
from retail.thresholds import THRESHOLDS

LIMIT = THRESHOLDS.error_rate
WINDOW = span(LIMIT.window_seconds)
REQUESTS = "retail_http_request_duration_seconds_count"

RECORDINGS = (
    Recording(f"service:retail_http_requests:rate{WINDOW}", f"sum(rate({REQUESTS}[{WINDOW}]))"),
    Recording(
        # Before the first 5xx there is no such series.
        f"service:retail_http_errors:rate{WINDOW}",
        f'sum(rate({REQUESTS}{{status="5xx"}}[{WINDOW}]))\n'
        f"or service:retail_http_requests:rate{WINDOW} * 0",
    ),
    Recording(
        # Without traffic there is no share, and nothing to alert about.
        f"service:retail_http_errors:ratio_rate{WINDOW}",
        f"service:retail_http_errors:rate{WINDOW}\n"
        f"/ (service:retail_http_requests:rate{WINDOW} > 0)",
    ),
)

ERROR_RATE_HIGH = Alert(
    name="RetailErrorRateHigh",
    expr=f"service:retail_http_errors:ratio_rate{WINDOW} > {LIMIT.most_ratio}\n"
    f"and round(service:retail_http_requests:rate{WINDOW} * {LIMIT.window_seconds})"
    f" >= {LIMIT.least_requests}",
    for_seconds=LIMIT.for_seconds,
    severity="critical",
    service="shop",
    summary="The shop answers {{ $value | humanizePercentage }} of its visitors with an error",
    description=f"More than {LIMIT.most_ratio:.0%} of the answers of the last {WINDOW} were 5xx, "
    f"for {span(LIMIT.for_seconds)}. First steps:",
    steps=(
        (
            "docker compose ps: are db, gateway, web and worker healthy? "
            "Start again what is not: docker compose restart NAME."
        ),
        "docker compose logs --since 10m web: the lines of level ERROR hold the traceback.",
        (
            "Only the checkout fails: see RetailCircuitBreakerOpen. Everything fails: the "
            "database. It began with a deployment: go back to the version before."
        ),
    ),
    dashboard="retail-http",
    logs=(("var-service", "web"), ("var-level", "ERROR")),
)

GROUPS = (Group("retail_http", (*RECORDINGS, ERROR_RATE_HIGH)),)

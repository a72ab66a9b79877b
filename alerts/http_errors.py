"""HTTP errors. Counters of all processes are summed; `rate` accounts for restarts."""

from alerts.model import Alert, Group, Recording, span
from alerts.queries import until_scraped
from retail.thresholds import THRESHOLDS, in_words

LIMIT = THRESHOLDS.error_rate
WINDOW = span(LIMIT.window_seconds)
_DIGITS = len(f"{THRESHOLDS.response_time.most_seconds * 1000:.0f}")
# Finds the log lines of 5xx responses and of requests, calls and jobs with so many milliseconds.
SLOW_OR_FAILED = rf'"status":5|"duration_ms":\d{{{_DIGITS}}}'
REQUESTS = "retail_http_request_duration_seconds_count"
ERRORS = "retail_http_errors_total"
# The blackbox exporter sends HEAD requests; visitors do not.
VISITORS = 'method!="HEAD"'

RECORDINGS = (
    Recording(
        f"service:retail_http_requests:rate{WINDOW}",
        f"sum(rate({REQUESTS}[{WINDOW}]))\n"
        f'- (sum(rate({REQUESTS}{{method="HEAD",status!="5xx"}}[{WINDOW}])) or vector(0))',
    ),
    Recording(
        # Its series exist from the start, so that the first error of a view counts.
        f"service:retail_http_errors:rate{WINDOW}",
        f"sum(rate({ERRORS}[{WINDOW}]))\nor service:retail_http_requests:rate{WINDOW} * 0",
    ),
    Recording(
        # Without traffic there is no ratio, and nothing to alert about.
        f"service:retail_http_errors:ratio_rate{WINDOW}",
        f"service:retail_http_errors:rate{WINDOW}\n"
        f"/ (service:retail_http_requests:rate{WINDOW} > 0)",
    ),
    until_scraped(
        f"service:retail_http_errors:evaluated{WINDOW}",
        f"service:retail_http_errors:ratio_rate{WINDOW}\n"
        f"and round(service:retail_http_requests:rate{WINDOW} * {LIMIT.window_seconds})"
        f" >= {LIMIT.least_requests}",
    ),
)

ERROR_RATE_HIGH = Alert(
    name="RetailErrorRateHigh",
    expr=f"service:retail_http_errors:evaluated{WINDOW} > {LIMIT.most_ratio}",
    for_seconds=LIMIT.for_seconds,
    severity="critical",
    service="shop",
    summary="{{ $value | humanizePercentage }} of requests fail with a server error",
    description=f"The 5xx error rate over {in_words(LIMIT.window_seconds)} has been above "
    f"{LIMIT.most_ratio:.0%} for {in_words(LIMIT.for_seconds)}. First steps:",
    steps=(
        (
            "Run docker compose ps. Are db, gateway, web and worker healthy? "
            "If not, restart them: docker compose restart NAME."
        ),
        "Run docker compose logs --since 10m web. Lines at level ERROR contain the traceback.",
        (
            "If only the checkout fails, see RetailCircuitBreakerOpen. If every page fails, check "
            "the database. If it started with a deployment, roll back."
        ),
    ),
    dashboard="retail-http",
    logs=(("var-service", "web"), ("var-level", "ERROR"), ("var-level", "WARNING")),
)

GROUPS = (Group("retail_http", (*RECORDINGS, ERROR_RATE_HIGH)),)

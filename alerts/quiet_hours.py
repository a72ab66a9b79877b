"""Failures that few visitors notice: probes from outside, restarts, too few events for a share."""

from alerts.http_errors import ERRORS, REQUESTS, VISITORS
from alerts.model import Alert, Group, span
from alerts.queries import happened, last_known, until_scraped
from retail.thresholds import THRESHOLDS, in_words

DOWN_FOR = THRESHOLDS.targets.critical_for_seconds
RESTARTS = THRESHOLDS.restarts
FEW = THRESHOLDS.low_traffic

# "The last five have failed" over an hour, and sooner if more events come.
WINDOWS = tuple(span(FEW.window_seconds // parts) for parts in (12, 4, 1))
# Before a window this long, a success or a failure does not matter.
BEFORE = span(FEW.window_seconds)

PROBES = last_known("service:probe_success:last", "max by (probe) (probe_success)")
DATABASE = last_known("service:pg_up:last", "max(pg_up)")

PROBE_FAILING = Alert(
    name="RetailProbeFailing",
    expr=f'{PROBES.record}{{probe=~"home|worker"}} == 0',
    for_seconds=DOWN_FOR,
    severity="critical",
    service="shop",
    summary="From outside, the shop's {{ $labels.probe }} does not answer",
    description="The blackbox exporter asks for the home page and for the worker's /healthz, as a "
    f"visitor does. One of them has not answered, or not with success, for {in_words(DOWN_FOR)}. "
    "First steps:",
    steps=(
        (
            "Run docker compose ps web worker db and docker compose logs --since 10m web worker. "
            "If a service is down: docker compose up -d NAME."
        ),
        (
            "Run curl -i http://localhost:8000/ and curl http://localhost:8000/readyz. Which check "
            "of /readyz fails?"
        ),
        (
            "If both answer, the exporter cannot reach the shop: docker compose logs --since 10m "
            "blackbox. A 400 means that the host of SHOP_URL is not in ALLOWED_HOSTS."
        ),
    ),
    dashboard="retail-system",
    logs=(("var-level", "ERROR"),),
)

DATABASE_DOWN = Alert(
    name="RetailDatabaseDown",
    # A web process that answers and is not ready has no usable database. Without the probe, the
    # database's own exporter says so. It alone is no proof: its password may be wrong.
    expr=f'max(\n  ({PROBES.record}{{probe="ready"}} == 0'
    f' and on () {PROBES.record}{{probe="web"}} == 1)\n'
    f"  or ({DATABASE.record} == 0"
    ' unless on () max(probe_success{probe="ready"}) == 1)\n)',
    for_seconds=DOWN_FOR,
    severity="critical",
    service="shop",
    summary="The database is down, does not respond, or is not migrated",
    description="The shop cannot take orders, and most pages fail. Nothing that was committed is "
    "lost. First steps:",
    steps=(
        (
            "Run curl http://localhost:8000/readyz. It names the check that fails. If migrations "
            "are missing: docker compose exec web python manage.py migrate."
        ),
        (
            "Run docker compose ps db and docker compose logs --since 10m db. Is its disk full "
            "(df -h)? If it is down: docker compose up -d db."
        ),
        (
            "If it is running but hangs: docker compose exec db psql -U postgres retail_db -c "
            "'SELECT * FROM pg_stat_activity'. If that hangs too: docker compose restart db."
        ),
    ),
    dashboard="retail-system",
    logs=(("var-service", "web"), ("var-level", "ERROR")),
)

_RESTART_WINDOW = span(RESTARTS.window_seconds)
_STARTS = f'process_start_time_seconds{{job=~"web|worker|gateway"}}[{_RESTART_WINDOW}]'
_FLAPS = f'probe_success{{probe=~"web|worker"}}[{_RESTART_WINDOW}]'
RESTARTING = Alert(
    name="RetailRestarting",
    # With several processes, web has no start time; the probe sees it come and go.
    expr=f"max by (job) (\n  changes({_STARTS})\n"
    f'  or label_replace(changes({_FLAPS}) / 2, "job", "$1", "probe", "(.+)")\n'
    f") >= {RESTARTS.least_restarts}",
    severity="critical",
    service="shop",
    summary="{{ $labels.job }} keeps restarting",
    description=f"It started {RESTARTS.least_restarts} times or more in "
    f"{in_words(RESTARTS.window_seconds)}. Between two starts it answers nobody. First steps:",
    steps=(
        (
            "Run docker compose ps {{ $labels.job }} and docker compose logs --since 20m "
            "{{ $labels.job }}. What are the last lines before it ends?"
        ),
        (
            "Run docker inspect on the container. OOMKilled means that its memory limit in "
            "docker-compose.yml is too low."
        ),
        "If it started with a deployment or a changed setting, roll back.",
    ),
    dashboard="retail-system",
    logs=(("var-service", "{{ $labels.job }}"), ("var-level", "ERROR")),
)


def _all_failed(events: str, failed: str, succeeded: str) -> str:
    """Return an expression that is true if the last events have all failed, over any window."""
    windows = "\n  or ".join(
        f"(({happened(failed, window, FEW.least_failures - 1, remembered=BEFORE)})\n"
        f"  unless on () ({happened(succeeded, window, remembered=BEFORE)}))"
        for window in WINDOWS
    )
    return f'label_replace(max(\n  {windows}\n), "events", "{events}", "", "")'


ALL_FAILED = until_scraped(
    "service:retail_last_events:failed",
    "\nor ".join(
        (
            # A 4xx says nothing: a robot gets it for addresses that do not exist.
            _all_failed(
                "requests",
                ERRORS,
                f'{REQUESTS}{{status=~"2xx|3xx",{VISITORS}}}',
            ),
            _all_failed(
                "checkouts",
                f'{REQUESTS}{{view="orders:checkout",method="POST",status="5xx"}}',
                'retail_orders_total{outcome=~"confirmed|sold_out|payment_declined"}',
            ),
            _all_failed(
                "payments",
                'retail_payments_total{outcome="failed"}',
                'retail_payments_total{outcome="completed"}',
            ),
        )
    ),
)
LAST_ALL_FAILED = Alert(
    name="RetailLastAllFailed",
    expr=ALL_FAILED.record,
    severity="critical",
    service="shop",
    summary="The last {{ $value }} {{ $labels.events }} have all failed",
    description=f"There are too few {{{{ $labels.events }}}} for a share, but at least the last "
    f"{FEW.least_failures} within {in_words(FEW.window_seconds)} have failed, and none has "
    "succeeded since. First steps:",
    steps=(
        (
            "Run curl http://localhost:8000/readyz and docker compose ps. Are db, gateway, web and "
            "worker healthy?"
        ),
        (
            "Requests and checkouts: run docker compose logs --since 1h web. Lines at level ERROR "
            "contain the traceback."
        ),
        (
            "Payments: run docker compose logs --since 1h web worker and find "
            "event=payment.settled. What is the reason? Is it always the same customer?"
        ),
    ),
    dashboard="retail-shop",
    logs=(),
)

GROUPS = (
    Group(
        "retail_quiet_hours",
        (
            PROBES,
            DATABASE,
            ALL_FAILED,
            PROBE_FAILING,
            DATABASE_DOWN,
            RESTARTING,
            LAST_ALL_FAILED,
        ),
    ),
)

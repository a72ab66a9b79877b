"""Write docs/metrics.md from the catalogue."""

from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand

from retail.history import rollups
from retail.observability.prometheus import catalogue
from retail.observability.rows.intervals import (
    DURATION_BOUNDS_MS,
    EVENTS_APART,
    FAST_FAIL_BOUNDS_MS,
)

# A table's row cannot be folded.
# ruff: noqa: E501

HEADER = """# Metrics

Written from `app/retail/observability/prometheus/catalogue.py` by `make docs`; a test fails when it is stale.
Every series is exported at `/metrics`; gauges of the kind "database" are read from the database when
Prometheus asks, so that every replica reports the same: use `max` over them, never `sum`.
Counters are kept by the process that does the work, so sum them over web and worker: a flash sale's order
is reserved in the web process, but paid and therefore counted in the worker.
Database and cache series (`django_db_*`, `django_cache_*`) come from django-prometheus.

| name | kind | labels | meaning |
|---|---|---|---|
"""

ROWS = """
## Rows of the Metric table

| metric_type | one row for | value | metadata |
|---|---|---|---|
| orders_per_day | each confirmed order | 1 | `order_ref`, `kind`, `request_id` |
| refunds_per_day | each refund | 1 | |
| payment_success_rate | each settled payment | 100 if completed, 0 if failed (percent) | `order_ref`, `reason` |
| error_rate | each 10 s with requests, by process | 5xx share in percent | `count`, `errors` (5xx), `client_errors` (4xx), `recent`: the latest 5xx with `request_id`, `view`, `status`, `at` |
| avg_response_time | each 10 s with requests, by process | milliseconds | `count`, `max_ms`, `buckets`: counts up to {durations} ms, and longer |
| circuit_breaker_state | each 10 s with payment attempts, by process | 0 closed, 1 half-open, 2 open: the last attempt's | `breaker`, `state`, `count`, `attempts` by state |
| | each 10 s with requests refused because it was open, by process | 2 | `count`, `fast_fails`, `fast_fail_max_ms`, `fast_fail_buckets`: counts up to {fast_fails} ms, and longer |
| | each change | the new state | `breaker`, `state`, `transition`: true |
| stock_conflicts | each conflict | 1 | `product_ids` |
| throttled_requests | each refused request | 1 | `scope`, `user_id` |

A row stands for `count` events where there is one, else for one. Of conflicts, and of refusals of one scope,
the first {apart} in 10 s have rows of their own; a flood beyond them becomes one row with `folded` and `count`.
Rows are kept for `METRIC_KEEP_DAYS` (90); `manage.py prune_metrics --days N` deletes older ones in small
batches, as the worker does daily.

## Rollups

Every minute the worker adds rows up by minute, hour and day (UTC), also those of hours in which no worker
ran. Minutes are kept for two days, hours and days for good. Pages read rollups, and rows only of what is newer
than the worker's last look, so they take as long for 90 days as for one. Rows that come more than {late} minutes
late are not in the rollups of their hour. `orders_per_day` and `payment_success_rate` are rolled up from the
orders and payments themselves: a process that is killed loses rows, but no orders. A rollup holds `count` (events),
`total` (of value times events), `minimum`, `maximum`, and `facts`, summed unless told otherwise:

| metric_type | facts |
|---|---|
| orders_per_day | `revenue` by currency (text), `kinds`: orders by kind |
| payment_success_rate | `completed`, `failed`, `reasons`: failed ones by reason |
| error_rate | `errors`, `client_errors` |
| avg_response_time | `buckets`, `max_ms` (maximum) |
| circuit_breaker_state | `attempts` by state, `transitions` by new state, `fast_fails`, `fast_fail_buckets`, `fast_fail_max_ms` (maximum) |
| throttled_requests | `by_scope` |
"""


def document() -> str:
    """Return the page."""
    lines = []
    for entry in catalogue.entries():
        labels = "; ".join(
            f"{name} = {', '.join(values) if values else 'set by code'}"
            for name, values in entry.labels.items()
        )
        lines.append(f"| `{entry.name}` | {entry.kind} | {labels} | {entry.help} |\n")
    rows = ROWS.format(
        durations=", ".join(map(str, DURATION_BOUNDS_MS)),
        fast_fails=", ".join(map(str, FAST_FAIL_BOUNDS_MS)),
        apart=EVENTS_APART,
        late=int(rollups.LATE.total_seconds() // 60),
    )
    return HEADER + "".join(lines) + rows


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: object, **options: object) -> None:
        path = Path(settings.BASE_DIR).parent / "docs" / "metrics.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(document(), encoding="utf-8")
        self.stdout.write(f"Wrote {path.name}.")

"""Write docs/metrics.md from the catalogue."""

from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand

from retail.observability import catalogue

# A table's row cannot be folded.
# ruff: noqa: E501

HEADER = """# Metrics

Written from `app/retail/observability/catalogue.py` by `make docs`; a test fails when it is stale.
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

| metric_type | one row for | value |
|---|---|---|
| orders_per_day | each confirmed order | 1 |
| refunds_per_day | each refund | 1 |
| payment_success_rate | each settled payment | 100 if completed, 0 if failed (percent) |
| error_rate | each 10 s with requests, by process | 5xx share in percent; `count`, `errors`, `client_errors` |
| avg_response_time | each 10 s with requests, by process | milliseconds; `count`, `max_ms`, `buckets` |
| circuit_breaker_state | each 10 s with payment attempts, and each change | 0 closed, 1 half-open, 2 open |
| stock_conflicts | each conflict | 1 |
| throttled_requests | each refused request | 1 |
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
    return HEADER + "".join(lines) + ROWS


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: object, **options: object) -> None:
        path = Path(settings.BASE_DIR).parent / "docs" / "metrics.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(document(), encoding="utf-8")
        self.stdout.write(f"Wrote {path.name}.")

"""The catalogue is an interface: dashboards, alerts and runbooks use its names and labels.

docs/metrics.md is its golden copy: a change to a name, kind, label or value shows there in review.
"""

from math import prod
from pathlib import Path

import pytest
from django.conf import settings
from prometheus_client import REGISTRY

from orders.metrics import CHECKOUT_DURATION, ORDERS
from products.models import default_currency
from retail import jobs
from retail.audit import declare
from retail.management.commands.document_metrics import document
from retail.observability.prometheus import catalogue
from retail.observability.prometheus.instruments import Counter, Gauge, Histogram, Instrument

PAGE = Path(settings.BASE_DIR).parent / "docs" / "metrics.md"


@pytest.mark.parametrize("entry", list(catalogue.entries()), ids=lambda entry: entry.name)
def test_names_end_as_prometheus_expects(entry: Counter | Gauge | Histogram) -> None:
    assert entry.name.startswith("retail_")
    assert entry.name.endswith("_total") == entry.kind.startswith("counter")
    if entry.kind == "histogram":
        assert entry.name.endswith("_seconds")
    assert entry.help.endswith(".")


def children(name: str) -> int:
    """Return how many series there are of a metric's total or count."""
    return sum(
        sample.name in {name, f"{name}_count"}
        for family in REGISTRY.collect()
        for sample in family.samples
    )


def test_every_series_exists_before_its_first_event_except_those_of_requests_and_durations(
    db: None,
) -> None:
    made_on_first_use = {catalogue.HTTP_DURATION, catalogue.JOB_DURATION}
    instruments = [entry for entry in catalogue.entries() if isinstance(entry, Instrument)]
    prepared = {entry for entry in instruments if entry.labels.keys() != {"version"}}
    prepared -= made_on_first_use
    assert {entry for entry in instruments if not entry.prepared} == made_on_first_use
    assert {ORDERS, catalogue.JOBS, catalogue.HTTP_IN_PROGRESS} <= prepared
    for entry in prepared:
        sizes = [len(values) for values in entry.labels.values() if values is not None]
        assert children(entry.name) == prod(sizes) > 0, entry.name


def test_bucket_bounds_meet_the_promises_that_are_measured_with_them() -> None:
    # Checkouts in under a second, refusals in under 100 ms.
    assert 1 in CHECKOUT_DURATION.buckets
    assert 0.1 in catalogue.FAST_FAIL_DURATION.buckets
    for entry in catalogue.entries():
        if isinstance(entry, Histogram):
            assert list(entry.buckets) == sorted(entry.buckets)


def test_the_sets_of_labels_are_those_of_the_code() -> None:
    assert set(jobs.declared) == set(catalogue.TASKS)
    assert set(declare.declared) == set(catalogue.INVARIANTS)
    assert default_currency() in settings.CURRENCIES


def test_the_page_lists_every_metric_once() -> None:
    page = document()
    for entry in catalogue.entries():
        assert page.count(f"| `{entry.name}` | {entry.kind} |") == 1
    assert "| `retail_payments_total` | counter | outcome = completed, failed | Settled" in page
    assert "| view = set by code; method = GET, HEAD," in page


def test_the_page_in_the_repository_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), "run `make docs`"

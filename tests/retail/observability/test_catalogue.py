"""The catalogue is an interface: dashboards, alerts and runbooks use its names and labels."""

from pathlib import Path

import pytest
from django.conf import settings
from prometheus_client import REGISTRY

from orders.metrics import CHECKOUT_DURATION
from products.models import default_currency
from retail import jobs
from retail.audit import declare
from retail.management.commands.document_metrics import document
from retail.observability.prometheus import catalogue
from retail.observability.prometheus.instruments import Counter, Gauge, Histogram

OUTCOMES = (
    "confirmed sold_out payment_declined payment_unavailable payment_unknown conflict cancelled"
)
CALLS = "approved declined error timeout"
TASKS = (
    "settle_payments send_confirmation roll_up_metrics prune_metrics prune_carts prune_sessions "
    "prune_alerts run_audit judge_scenarios"
)
INVARIANTS = (
    "ledger_equals_stock sold_within_offered confirmed_sale_is_paid_once charge_has_payment "
    "payment_has_charge refunds_within_captured pending_within_deadline"
)
STATES = "closed open half_open"
SCENARIOS = "A1 A2 S1 S2 M1 M2 P1 P2 I1 I2 T1 T2 U1 U2"
# name: kind, labels with their values; None: any value set by the code
EXPECTED: dict[str, tuple[str, dict[str, str | None]]] = {
    "retail_http_request_duration_seconds": (
        "histogram",
        {
            "view": None,
            "method": "GET HEAD POST PUT PATCH DELETE OPTIONS other",
            "status": "1xx 2xx 3xx 4xx 5xx",
        },
    ),
    "retail_http_requests_in_progress": ("gauge", {}),
    "retail_orders_total": ("counter", {"outcome": OUTCOMES}),
    "retail_order_revenue_total": ("counter", {"currency": "EUR GBP USD"}),
    "retail_checkout_duration_seconds": (
        "histogram",
        {"kind": "cart flash", "outcome": f"{OUTCOMES} pending error"},
    ),
    "retail_payments_total": ("counter", {"outcome": "completed failed"}),
    "retail_payment_attempts_total": ("counter", {"outcome": f"{CALLS} short_circuited"}),
    "retail_payment_duration_seconds": ("histogram", {"outcome": CALLS}),
    "retail_fast_fail_duration_seconds": ("histogram", {}),
    "retail_payments_unknown": ("gauge (database)", {}),
    "retail_payments_unknown_oldest_seconds": ("gauge (database)", {}),
    "retail_circuit_breaker_state": ("gauge (database)", {"breaker": "payments", "state": STATES}),
    "retail_circuit_breaker_transitions_total": ("counter", {"breaker": "payments", "to": STATES}),
    "retail_stock_conflicts_total": ("counter", {}),
    "retail_sold_out_total": ("counter", {}),
    "retail_oversold_units": ("gauge (database)", {}),
    "retail_invariant_violations": ("gauge (database)", {"invariant": INVARIANTS}),
    "retail_throttled_requests_total": (
        "counter",
        {"scope": "checkout login password_reset"},
    ),
    "retail_jobs_total": ("counter", {"task": TASKS, "outcome": "succeeded failed"}),
    "retail_job_duration_seconds": ("histogram", {"task": TASKS, "outcome": "succeeded failed"}),
    "retail_jobs_waiting": ("gauge (database)", {}),
    "retail_jobs_oldest_waiting_seconds": ("gauge (database)", {}),
    "retail_quality_scenario_passing": ("gauge (database)", {"scenario": SCENARIOS}),
    "retail_metric_rows_dropped_total": ("counter", {}),
    "retail_telemetry_errors_total": ("counter", {"sink": "metrics rows collector log audit"}),
    "retail_build_info": ("gauge", {"version": None}),
}


def test_the_catalogue_has_the_documented_metrics() -> None:
    declared = {
        entry.name: (
            entry.kind,
            {
                name: None if values is None else set(values)
                for name, values in entry.labels.items()
            },
        )
        for entry in catalogue.entries()
    }
    expected = {
        name: (
            kind,
            {
                label: None if values is None else set(values.split())
                for label, values in labels.items()
            },
        )
        for name, (kind, labels) in EXPECTED.items()
    }
    assert declared == expected


@pytest.mark.parametrize("entry", list(catalogue.entries()), ids=lambda entry: entry.name)
def test_names_end_as_prometheus_expects(entry: Counter | Gauge | Histogram) -> None:
    assert entry.name.startswith("retail_")
    assert entry.name.endswith("_total") == (entry.kind == "counter")
    if entry.kind == "histogram":
        assert entry.name.endswith("_seconds")
    assert entry.help.endswith(".")


def children(name: str) -> int:
    """Return the number of series of a metric's total or count."""
    return sum(
        sample.name in {name, f"{name}_count"}
        for family in REGISTRY.collect()
        for sample in family.samples
    )


def test_all_business_series_exist_before_the_first_event(db: None) -> None:
    assert children("retail_orders_total") == 7
    assert children("retail_order_revenue_total") == 3
    assert children("retail_checkout_duration_seconds") == 18
    assert children("retail_payments_total") == 2
    assert children("retail_payment_attempts_total") == 5
    assert children("retail_payment_duration_seconds") == 4
    assert children("retail_circuit_breaker_transitions_total") == 3
    assert children("retail_jobs_total") == 18
    assert children("retail_telemetry_errors_total") == 5


def test_series_of_requests_and_job_durations_are_created_on_first_use() -> None:
    assert catalogue.HTTP_DURATION.prepared is False
    assert catalogue.JOB_DURATION.prepared is False


def test_bucket_bounds_include_the_objectives() -> None:
    # Checkouts in under a second, refusals in under 100 ms.
    assert 1 in CHECKOUT_DURATION.buckets
    assert 0.1 in catalogue.FAST_FAIL_DURATION.buckets
    for entry in catalogue.entries():
        if isinstance(entry, Histogram):
            assert list(entry.buckets) == sorted(entry.buckets)


def test_label_values_match_the_code() -> None:
    assert set(jobs.declared) == set(catalogue.TASKS)
    assert set(declare.declared) == set(catalogue.INVARIANTS)
    assert default_currency() in settings.CURRENCIES


def test_the_page_lists_every_metric_once() -> None:
    page = document()
    for name, (kind, _) in EXPECTED.items():
        assert page.count(f"| `{name}` | {kind} |") == 1
    assert "| `retail_payments_total` | counter | outcome = completed, failed | Settled" in page
    assert "| view = set by code; method = GET, HEAD," in page


def test_the_committed_page_is_up_to_date() -> None:
    page = Path(settings.BASE_DIR).parent / "docs" / "metrics.md"
    assert page.read_text(encoding="utf-8") == document(), "run `make docs`"

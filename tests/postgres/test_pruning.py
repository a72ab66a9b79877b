"""Pruning of metric rows does not block sales."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User

from orders.models import Sale
from orders.services import sale_checkout
from retail.history import rollups
from retail.history.rollups import Period
from retail.models import Metric, MetricRollup
from retail.observability import record_metric
from retail.observability.rows.recorder import recorder
from tests.postgres.interleaving import before_commit, interleave, paused_before
from tests.support import ScriptedGateway, make_product, order_for

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

NOW = datetime(2026, 11, 22, 14, 20, tzinfo=UTC)
ROWS = 250


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "PRUNE_BATCH", 100)
    Metric.objects.bulk_create(
        Metric(metric_type="throttled_requests", value=1, timestamp=NOW - timedelta(days=91))
        for _ in range(ROWS)
    )


def prune() -> int:
    return rollups.prune(90, NOW)


def test_a_checkout_does_not_wait_for_pruning_and_its_rows_are_written(
    anna: User, scripted_gateway: ScriptedGateway
) -> None:
    order = order_for(anna, make_product(stock=3), 2)

    def buy() -> tuple[str, int]:
        sale = sale_checkout(order=order)
        record_metric("stock_conflicts", 1)
        recorder.flush()
        return sale.status, Metric.objects.count()

    result = interleave(before_commit(prune), buy)  # all batches deleted, none committed
    # The buyer's connection still sees rows whose deletion is not committed.
    written = {
        "circuit_breaker_state",
        "orders_per_day",
        "payment_success_rate",
        "stock_conflicts",
    }
    assert result == (ROWS, (Sale.Status.CONFIRMED, ROWS + len(written)), False)
    assert set(Metric.objects.values_list("metric_type", flat=True)) == written
    assert len(scripted_gateway.charged) == 1
    days = MetricRollup.objects.filter(period=Period.DAY, metric_type="throttled_requests")
    assert list(days.values_list("count", flat=True)) == [ROWS]


def test_each_batch_is_its_own_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    result = interleave(paused_before(monkeypatch, time, "sleep", prune), Metric.objects.count)
    assert result == (ROWS, ROWS - 100, False)
    assert not Metric.objects.exists()

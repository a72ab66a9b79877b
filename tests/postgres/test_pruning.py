"""Metric rows are pruned while the shop sells: nobody waits for it."""

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
from tests.postgres.meeting import meet, stopping_before, unfinished
from tests.support import ScriptedGateway, make_product, order_for

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

NOW = datetime(2026, 11, 22, 14, 20, tzinfo=UTC)
ROWS = 250


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "PRUNE_BATCH", 100)
    Metric.objects.bulk_create(
        Metric(metric_type="refunds_per_day", value=1, timestamp=NOW - timedelta(days=91))
        for _ in range(ROWS)
    )


def prune() -> int:
    return rollups.prune(90, NOW)


def test_a_checkout_waits_for_no_batch_and_its_rows_are_written(
    anna: User, scripted_gateway: ScriptedGateway
) -> None:
    order = order_for(anna, make_product(stock=3), 2)

    def buy() -> tuple[str, int]:
        sale = sale_checkout(order=order)
        record_metric("stock_conflicts", 1)
        recorder.flush()
        return sale.status, Metric.objects.count()

    met = meet(unfinished(prune), buy)  # all batches deleted, and none committed
    # Of what is deleted but not committed, the buyer's connection still sees all.
    written = {
        "circuit_breaker_state",
        "orders_per_day",
        "payment_success_rate",
        "stock_conflicts",
    }
    assert met == (ROWS, (Sale.Status.CONFIRMED, ROWS + len(written)), False)
    assert set(Metric.objects.values_list("metric_type", flat=True)) == written
    assert len(scripted_gateway.charged) == 1
    days = MetricRollup.objects.filter(period=Period.DAY, metric_type="refunds_per_day")
    assert list(days.values_list("count", flat=True)) == [ROWS]


def test_each_batch_is_a_transaction_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    met = meet(stopping_before(monkeypatch, time, "sleep", prune), Metric.objects.count)
    assert met == (ROWS, ROWS - 100, False)
    assert not Metric.objects.exists()

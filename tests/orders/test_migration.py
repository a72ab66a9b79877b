"""Rows of older versions fit the present one."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from orders.models import Payment, Sale
from orders.reservation import reserve
from retail.models import Email
from tests.support import make_buyer, make_product, migrate, order_for

OLD_JOB = "orders.confirmation_email.send_confirmation"


@pytest.mark.usefixtures("migrated_afterwards")
def test_unsent_confirmations_of_the_last_day_are_sent_by_the_outbox() -> None:
    migrate(("orders", "0003_help_texts"))
    buyer, now = make_buyer(), timezone.now()
    state = MigrationExecutor(connection).loader.project_state(("orders", "0003_help_texts"))
    sales = state.apps.get_model("orders", "Sale").objects
    for reference, status, hours, sent_at in (
        ("VT-UNSENT", "CONFIRMED", 1, None),
        ("VT-SENT", "CONFIRMED", 1, now),
        ("VT-OLD", "CONFIRMED", 25, None),
        ("VT-FAILED", "FAILED", 1, None),
    ):
        sales.create(
            user_id=buyer.pk, reference=reference, status=status, total="1.00", currency="EUR",
            idempotency_key=uuid.uuid4(), finished_at=now - timedelta(hours=hours),
            confirmation_sent_at=sent_at, request_id="r-1",
        )  # fmt: skip
    for job in (OLD_JOB, "retail.tasks.run_audit"):
        async_task(job, 1)
    OrmQ.objects.create(key="vitrine", payload="not signed", lock=now)
    migrate(("orders", "0005_confirmations_to_outbox"))
    assert list(Email.objects.values_list("kind", "about", "request_id", "state")) == [
        ("order_confirmed", "VT-UNSENT", "r-1", "waiting")
    ]
    waiting = OrmQ.objects.exclude(payload="not signed").get()
    assert waiting.func() == "retail.tasks.run_audit"
    assert OrmQ.objects.count() == 2


@pytest.mark.usefixtures("migrated_afterwards")
def test_confirmed_orders_become_dispatched_and_nothing_is_refunded() -> None:
    migrate(("orders", "0007_sale_email"), ("returns", None))
    buyer, now = make_buyer(), timezone.now()
    state = MigrationExecutor(connection).loader.project_state(("orders", "0007_sale_email"))
    for status, paid in (("CONFIRMED", "COMPLETED"), ("FAILED", "FAILED"), ("PENDING", "PENDING")):
        ended = None if status == "PENDING" else now
        sale = state.apps.get_model("orders", "Sale").objects.create(
            user_id=buyer.pk, reference=f"VT-{status}", status=status, total="1.00",
            currency="EUR", idempotency_key=uuid.uuid4(), finished_at=ended,
        )  # fmt: skip
        state.apps.get_model("orders", "Payment").objects.create(
            sale=sale, token="tok_good", amount="1.00", currency="EUR", status=paid, due_at=now,
            settled_at=ended, key=status,
        )  # fmt: skip
    migrate(("orders", "0010_dispatch_permission"))
    sales = Sale.objects.order_by("reference")
    assert list(sales.values_list("reference", "dispatched_at", "cancelled_at")) == [
        ("VT-CONFIRMED", now, None),
        ("VT-FAILED", None, None),
        ("VT-PENDING", None, None),
    ]
    payments = Payment.objects.values_list("refund_reserved", "disputed_at").distinct()
    assert list(payments) == [(Decimal(0), None)]


@pytest.mark.django_db
def test_an_order_that_an_older_version_places_meanwhile_has_nothing_refunded() -> None:
    """The database has the default: the older version names no column that it does not know."""
    sale, payment = reserve(order_for(make_buyer(), make_product()), "key")
    columns = "sale_id, key, token, amount, currency, status, failure_reason, created_at, due_at"
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM orders_payment")
        cursor.execute(
            f"INSERT INTO orders_payment ({columns}) VALUES (%s, 'k', 't', 10, 'EUR', 'PENDING',"  # noqa: S608
            " '', %s, %s)",
            [sale.pk, payment.created_at, payment.due_at],
        )
    stored = Payment.objects.get()
    assert (stored.refund_reserved, stored.disputed_at) == (Decimal(0), None)

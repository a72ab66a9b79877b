"""Confirmations that wait in the job queue are moved to the outbox."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from retail.models import Email
from tests.support import make_buyer, migrate

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

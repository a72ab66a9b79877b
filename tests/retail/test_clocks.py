"""Stored times that a clock set back has put far into the future are brought back."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule

from orders import recovery
from orders.models import Payment
from orders.reservation import reserve
from retail import jobs
from retail.clocks import MARGIN, pull_back, stored_times
from retail.management.commands.worker import Command
from retail.models import AuditCheck, Backup, JobSuccess, WorkerHeartbeat
from tests.orders.state import stock_of
from tests.support import ScriptedGateway, make_buyer, make_product, order_for

if TYPE_CHECKING:
    from django.db.models import Model

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def queued(at: Any) -> Model:
    row: Model = OrmQ.objects.create(key="vitrine", payload="", lock=at)
    return row


def scheduled(at: Any) -> Model:
    jobs.write_schedules()
    Schedule.objects.update(next_run=at)
    row: Model = Schedule.objects.get(name="settle_payments")
    return row


def succeeded(at: Any) -> Model:
    return JobSuccess.objects.create(task="settle_payments", at=at)


def audited(at: Any) -> Model:
    return AuditCheck.objects.create(invariant="stock", checked_at=at, full_checked_at=at)


def backed_up(at: Any) -> Model:
    return Backup.objects.create(name="a", taken_at=at, seconds=1, size=1, encrypted=False)


CASES = {
    "taken_at": (backed_up, timedelta(0)),
    "lock": (queued, timedelta(seconds=Conf.RETRY)),
    "next_run": (scheduled, timedelta(minutes=1)),
    "at": (succeeded, timedelta(0)),
    "checked_at": (audited, timedelta(0)),
    "full_checked_at": (audited, timedelta(0)),
}


@pytest.mark.parametrize("field", CASES)
def test_a_time_is_brought_back_only_if_it_is_further_ahead_than_it_can_be(field: str) -> None:
    make, ahead = CASES[field]
    now = timezone.now()
    latest = now + ahead + MARGIN
    row = make(latest)
    pull_back(now)
    row.refresh_from_db()
    assert getattr(row, field) == latest
    pull_back(now - SECOND)
    row.refresh_from_db()
    assert getattr(row, field) == now - SECOND


def test_nothing_else_is_registered_but_payments() -> None:
    assert {stored.field for stored in stored_times} == {*CASES, "due_at"}


def test_a_payment_that_was_put_off_by_the_clock_is_settled(
    scripted_gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = make_product("Lamp", "10.00", 5)
    reserve(order_for(make_buyer(), lamp), "key")
    now = timezone.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: now - HOUR)
    assert recovery.settle_due() == 0
    Command()._beat()
    assert WorkerHeartbeat.objects.get().seen_at == now - HOUR
    assert recovery.settle_due() == 1
    assert (Payment.objects.get().status, stock_of(lamp)) == ("COMPLETED", 4)


def test_a_lease_is_not_ended_by_clocks_that_differ_a_little(
    scripted_gateway: ScriptedGateway,
) -> None:
    reserve(order_for(make_buyer(), make_product()), "key")
    now = timezone.now()
    Payment.objects.update(due_at=now + recovery.longest_wait() + MARGIN)
    assert pull_back(now) == 0
    assert pull_back(now - SECOND) == 1
    assert Payment.objects.get().due_at == now - SECOND


def test_it_is_logged_with_the_table(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "retail.clocks")
    queued(timezone.now() + HOUR)
    queued(timezone.now() + HOUR)
    assert pull_back(timezone.now()) == 2
    [line] = caplog.records
    assert (line.message, vars(line)["table"], vars(line)["rows"]) == (
        "event=clock.set_back",
        "django_q_ormq",
        2,
    )

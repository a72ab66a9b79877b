"""Concurrent notifications, from an Alertmanager cluster or from retries."""

import threading
from contextlib import suppress
from typing import Any

import pytest
from django.db import connections

from oncall import services
from oncall.models import AlertFeed
from tests.oncall.support import FIRING, RESOLVED, alert, episodes, receive

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*notifications: tuple[float, dict[str, Any]]) -> list[Exception]:
    """Receive each notification in its own thread; return the exceptions raised."""
    start = threading.Barrier(len(notifications))
    raised: list[Exception] = []

    def run(received: float, fields: dict[str, Any]) -> None:
        try:
            start.wait()
            receive(received, fields)
        except Exception as error:  # noqa: BLE001 - returned below
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=args) for args in notifications]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_one_alert_received_eight_times_at_once_is_one_row() -> None:
    assert at_once(*[(1, alert())] * 8) == []
    assert episodes() == [(FIRING, 0, None, 1)]


def test_an_end_wins_whatever_arrives_first() -> None:
    for _ in range(5):
        assert at_once((6, alert()), (6, alert(end=5)), (6, alert()), (6, alert(end=5))) == []
        assert episodes() == [(RESOLVED, 0, 5, 6)]


def _meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two threads insert at the same moment, if both can get that far."""
    both, create = threading.Barrier(2), services._create

    def create_together(*arguments: Any) -> None:
        with suppress(threading.BrokenBarrierError):  # the other thread waits for the lock
            both.wait(2)
        create(*arguments)

    monkeypatch.setattr(services, "_create", create_together)


def test_an_alert_never_fires_twice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    AlertFeed.objects.create(pk=1)
    _meet(monkeypatch)
    assert at_once((2, alert(start=0)), (2, alert(start=1))) == []
    assert [episode[0] for episode in episodes()].count(FIRING) == 1

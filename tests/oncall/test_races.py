"""Notifications at the same moment: Alertmanagers in a cluster, and sendings tried again."""

import threading
from contextlib import suppress
from typing import Any

import pytest
from django.db import connections

from oncall import services
from oncall.models import AlertFeed
from tests.oncall.support import FIRING, RESOLVED, alert, episodes, hear

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*news: tuple[float, dict[str, Any]]) -> list[Exception]:
    """Receive each in a thread of its own; return what was raised."""
    start = threading.Barrier(len(news))
    raised: list[Exception] = []

    def receive(heard: float, one: dict[str, Any]) -> None:
        try:
            start.wait()
            hear(heard, one)
        except Exception as error:  # noqa: BLE001 - told by the return value
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=receive, args=one) for one in news]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_one_alert_told_eight_times_at_once_is_one_row() -> None:
    assert at_once(*[(1, alert())] * 8) == []
    assert episodes() == [(FIRING, 0, None, 1)]


def test_whoever_comes_first_the_end_is_the_end() -> None:
    for _ in range(5):
        assert at_once((6, alert()), (6, alert(end=5)), (6, alert()), (6, alert(end=5))) == []
        assert episodes() == [(RESOLVED, 0, 5, 6)]


def _meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two that are about to make a row wait for each other, if they can both get there."""
    both, make = threading.Barrier(2), services._make

    def slowly(*arguments: Any) -> None:
        with suppress(threading.BrokenBarrierError):  # the other one waits for the lock
            both.wait(2)
        make(*arguments)

    monkeypatch.setattr(services, "_make", slowly)


def test_an_alert_never_fires_twice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    AlertFeed.objects.create(pk=1)
    _meet(monkeypatch)
    assert at_once((2, alert(start=0)), (2, alert(start=1))) == []
    assert [one[0] for one in episodes()].count(FIRING) == 1

"""Notifications that arrive twice, late, out of order, or never."""

from datetime import datetime, timedelta

import pytest
from django.db import DataError

from oncall import services
from oncall.models import Alert, AlertFeed, LostAlerts
from oncall.notification import AlertNotification
from oncall.tasks import prune_alerts
from tests.oncall.support import FIRING, RESOLVED, alert, at, episodes, minutes, receive

pytestmark = pytest.mark.django_db


def feed() -> tuple[float | None, float | None]:
    """Return the times of the last notification and of the last heartbeat."""
    row = AlertFeed.objects.get()
    return minutes(row.heard_at), minutes(row.heartbeat_at)


def test_an_alert_fires_is_repeated_and_ends() -> None:
    receive(1, alert())
    assert episodes() == [(FIRING, 0, None, 1)]
    receive(241, alert(annotations={"summary": "worse"}))
    assert episodes() == [(FIRING, 0, None, 241)]
    assert Alert.objects.get().annotations == {"summary": "worse"}
    receive(250, alert(end=248))
    assert episodes() == [(RESOLVED, 0, 248, 250)]
    assert minutes(Alert.objects.get().received_at) == 1


def test_an_end_received_twice_is_stored_once() -> None:
    receive(1, alert())
    receive(6, alert(end=5))
    receive(7, alert(end=5))
    assert episodes() == [(RESOLVED, 0, 5, 6)]


def test_a_start_received_after_its_end_is_ignored() -> None:
    receive(6, alert(end=5))
    assert episodes() == [(RESOLVED, 0, 5, 6)]
    receive(6.5, alert())
    receive(10.9, alert())
    assert episodes() == [(RESOLVED, 0, 5, 6)]


def test_firing_long_after_the_end_is_firing_again() -> None:
    receive(6, alert(end=5))
    receive(11, alert())  # as if Prometheus could not reach Alertmanager for a while
    assert episodes() == [(FIRING, 0, 5, 11)]
    receive(12, alert(end=5))  # the old end again
    assert episodes() == [(FIRING, 0, 5, 11)]
    receive(21, alert(end=20))
    assert episodes() == [(RESOLVED, 0, 20, 21)]


def test_firing_again_creates_another_row() -> None:
    receive(1, alert())
    receive(6, alert(end=5))
    receive(8, alert(start=7))
    assert episodes() == [(RESOLVED, 0, 5, 6), (FIRING, 7, None, 8)]


def test_a_notification_of_an_older_period_does_not_change_a_newer_one() -> None:
    receive(8, alert(start=7))
    receive(8.1, alert())
    assert episodes() == [(FIRING, 7, None, 8.1)]
    receive(8.2, alert(end=5))
    assert episodes() == [(RESOLVED, 0, 5, 8.2), (FIRING, 7, None, 8.1)]
    receive(12, alert(start=7, end=11))
    receive(13, alert())
    assert episodes() == [(RESOLVED, 0, 5, 8.2), (RESOLVED, 7, 11, 12)]


def test_an_alert_without_a_reported_end_ends_when_it_fires_again() -> None:
    receive(1, alert())
    receive(60, alert(start=59))
    assert episodes() == [(RESOLVED, 0, 59, 1), (FIRING, 59, None, 60)]


def test_an_end_with_another_start_ends_the_firing_alert() -> None:
    receive(3, alert(start=2))  # two Prometheus servers report different starts
    receive(9, alert(start=0, end=8))
    assert episodes() == [(RESOLVED, 2, 8, 9)]


def test_alerts_do_not_affect_each_other() -> None:
    receive(1, alert("RetailOversold"), alert("RetailTargetDown"))
    receive(6, alert("RetailOversold", end=5))
    statuses = dict(Alert.objects.values_list("name", "status"))
    assert statuses == {"RetailOversold": RESOLVED, "RetailTargetDown": FIRING}


def test_the_heartbeat_is_stored_as_a_time_and_not_as_an_alert() -> None:
    receive(1, alert("Watchdog"))
    assert (feed(), episodes()) == ((1, 1), [])
    receive(2, alert())
    assert feed() == (2, 1)
    receive(3, alert("Watchdog", end=2))  # a resolved Watchdog is not a heartbeat
    assert feed() == (3, 1)
    receive(4, alert("Watchdog"), alert())
    assert (feed(), episodes()) == ((4, 4), [(FIRING, 0, None, 4)])


def test_alerts_without_recent_updates_are_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    days = 24 * 60
    receive(0, alert("RetailOversold", start=-5, end=-1))
    receive(2, alert("RetailTargetDown"))
    receive(3, alert("RetailQueueStalled", start=-60 * days))
    receive(80 * days, alert("RetailQueueStalled", start=-60 * days))
    now = at(1) + timedelta(days=90)
    monkeypatch.setattr("oncall.tasks.timezone.now", lambda: now)
    assert prune_alerts() == 1
    assert set(Alert.objects.values_list("name", flat=True)) == {
        "RetailTargetDown",
        "RetailQueueStalled",
    }


def test_an_alert_that_the_database_cannot_hold_is_lost_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create = services._create

    def refuse(received: AlertNotification, now: datetime) -> None:
        if received.name == "RetailTargetDown":
            raise DataError("no such text")
        create(received, now)

    monkeypatch.setattr(services, "_create", refuse)
    names = ["RetailOversold", "RetailTargetDown", "RetailQueueStalled"]
    receive(1, *(alert(name) for name in names))
    assert set(Alert.objects.values_list("name", flat=True)) == {names[0], names[2]}
    lost = LostAlerts.objects.get()
    assert (lost.reason, lost.count, lost.detail) == (
        LostAlerts.Reason.REFUSED,
        1,
        "RetailTargetDown: no such text",
    )

"""Notifications that come twice, late, out of order, or never."""

from datetime import timedelta

import pytest

from oncall.models import Alert, AlertFeed
from oncall.tasks import prune_alerts
from tests.oncall.support import FIRING, RESOLVED, alert, at, episodes, hear, minutes

pytestmark = pytest.mark.django_db


def feed() -> tuple[float | None, float | None]:
    """Return when anything and when the heartbeat was heard."""
    row = AlertFeed.objects.get()
    return minutes(row.heard_at), minutes(row.heartbeat_at)


def test_an_alert_fires_is_said_again_and_ends() -> None:
    hear(1, alert())
    assert episodes() == [(FIRING, 0, None, 1)]
    hear(241, alert(annotations={"summary": "worse"}))
    assert episodes() == [(FIRING, 0, None, 241)]
    assert Alert.objects.get().annotations == {"summary": "worse"}
    hear(250, alert(end=248))
    assert episodes() == [(RESOLVED, 0, 248, 250)]
    assert minutes(Alert.objects.get().received_at) == 1


def test_the_end_that_is_heard_twice_is_one_end() -> None:
    hear(1, alert())
    hear(6, alert(end=5))
    hear(7, alert(end=5))
    assert episodes() == [(RESOLVED, 0, 5, 6)]


def test_an_end_that_comes_before_its_beginning_is_the_end() -> None:
    hear(6, alert(end=5))
    assert episodes() == [(RESOLVED, 0, 5, 6)]
    hear(6.5, alert())
    hear(10.9, alert())
    assert episodes() == [(RESOLVED, 0, 5, 6)]


def test_what_is_said_long_after_the_end_is_true_again() -> None:
    hear(6, alert(end=5))
    hear(11, alert())  # as after a time in which Prometheus could not reach Alertmanager
    assert episodes() == [(FIRING, 0, 5, 11)]
    hear(12, alert(end=5))  # the old end once more
    assert episodes() == [(FIRING, 0, 5, 11)]
    hear(21, alert(end=20))
    assert episodes() == [(RESOLVED, 0, 20, 21)]


def test_firing_again_is_another_row() -> None:
    hear(1, alert())
    hear(6, alert(end=5))
    hear(8, alert(start=7))
    assert episodes() == [(RESOLVED, 0, 5, 6), (FIRING, 7, None, 8)]


def test_news_of_an_older_time_changes_nothing_of_a_newer() -> None:
    hear(8, alert(start=7))
    hear(8.1, alert())
    assert episodes() == [(FIRING, 7, None, 8.1)]
    hear(8.2, alert(end=5))
    assert episodes() == [(RESOLVED, 0, 5, 8.2), (FIRING, 7, None, 8.1)]
    hear(12, alert(start=7, end=11))
    hear(13, alert())
    assert episodes() == [(RESOLVED, 0, 5, 8.2), (RESOLVED, 7, 11, 12)]


def test_one_that_nobody_ended_ends_when_it_fires_anew() -> None:
    hear(1, alert())
    hear(60, alert(start=59))
    assert episodes() == [(RESOLVED, 0, 59, 1), (FIRING, 59, None, 60)]


def test_an_end_ends_it_also_if_its_start_was_told_otherwise() -> None:
    hear(3, alert(start=2))  # one of two Prometheus saw it first, the other earlier
    hear(9, alert(start=0, end=8))
    assert episodes() == [(RESOLVED, 2, 8, 9)]


def test_alerts_do_not_touch_each_other() -> None:
    hear(1, alert("RetailOversold"), alert("RetailTargetDown"))
    hear(6, alert("RetailOversold", end=5))
    found = dict(Alert.objects.values_list("name", "status"))
    assert found == {"RetailOversold": RESOLVED, "RetailTargetDown": FIRING}


def test_the_heartbeat_is_a_time_and_no_alert() -> None:
    hear(1, alert("Watchdog"))
    assert (feed(), episodes()) == ((1, 1), [])
    hear(2, alert())
    assert feed() == (2, 1)
    hear(3, alert("Watchdog", end=2))  # an end is no beat
    assert feed() == (3, 1)
    hear(4, alert("Watchdog"), alert())
    assert (feed(), episodes()) == ((4, 4), [(FIRING, 0, None, 4)])


def test_what_was_long_not_heard_of_is_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    days = 24 * 60
    hear(0, alert("RetailOversold", start=-5, end=-1))
    hear(2, alert("RetailTargetDown"))
    hear(3, alert("RetailQueueStalled", start=-60 * days))
    hear(80 * days, alert("RetailQueueStalled", start=-60 * days))
    now = at(1) + timedelta(days=90)
    monkeypatch.setattr("oncall.tasks.timezone.now", lambda: now)
    assert prune_alerts() == 1
    assert set(Alert.objects.values_list("name", flat=True)) == {
        "RetailTargetDown",
        "RetailQueueStalled",
    }

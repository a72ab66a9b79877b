"""Storing alerts takes a lock: without it, concurrent notifications contradict each other."""

from unittest.mock import Mock

import pytest

from oncall import services
from tests.oncall.support import FIRING, alert, episodes
from tests.oncall.test_races import _meet, at_once

pytestmark = pytest.mark.django_db(transaction=True)


def without_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two writers insert at the same moment without a lock."""
    monkeypatch.setattr(services, "_feed", Mock)
    _meet(monkeypatch)


def test_without_the_lock_an_alert_fires_twice_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_the_lock(monkeypatch)
    assert at_once((2, alert(start=0)), (2, alert(start=1))) == []
    assert [episode[0] for episode in episodes()] == [FIRING, FIRING]


def test_without_the_lock_the_constraint_refuses_a_second_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_the_lock(monkeypatch)
    (refused,) = at_once((2, alert()), (2, alert()))
    assert "one_alert_a_fingerprint_and_start" in str(refused)
    assert episodes() == [(FIRING, 0, None, 2)]

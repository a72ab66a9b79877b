"""Limits are exact per window and key; without a cache, requests pass."""

import pytest
from django.core.cache import cache
from hypothesis import given
from hypothesis import strategies as st

from retail import throttling
from retail.observability.rows.recorder import recorder
from retail.throttling import ThrottledError, throttle
from tests.retail.conftest import Lines
from tests.support import moved

pytestmark = pytest.mark.django_db

THROTTLED = 'retail_throttled_requests_total{scope="checkout"}'


class Clock:
    now = 1_000_020.0  # the start of a 60 s window

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(throttling, "time", clock)
    return clock


def attempt(*keys: str, limit: int = 3) -> int | None:
    """Make one request; return how long to wait, or None."""
    try:
        throttle("checkout", list(keys), limit=limit, seconds=60, user_id=7)
    except ThrottledError as error:
        return error.retry_after
    return None


def test_exactly_the_limit_passes_in_a_window(clock: Clock) -> None:
    with moved() as changes:
        assert [attempt("7:1") for _ in range(3)] == [None, None, None]
    assert changes == {}
    with moved() as changes:
        assert [attempt("7:1") for _ in range(2)] == [60, 60]
    assert changes == {THROTTLED: 2}


@pytest.mark.parametrize(
    ("into", "wait"), [(0, 60), (0.5, 60), (1, 59), (1.25, 59), (59, 1), (59.5, 1), (59.99, 1)]
)
def test_the_wait_is_until_the_window_ends(clock: Clock, into: float, wait: int) -> None:
    clock.now += into
    assert [attempt("7:1", limit=1), attempt("7:1", limit=1)] == [None, wait]


def test_each_window_starts_at_zero(clock: Clock) -> None:
    assert [attempt("7:1", limit=1), attempt("7:1", limit=1)] == [None, 60]
    clock.now += 60
    assert [attempt("7:1", limit=1), attempt("7:1", limit=1)] == [None, 60]


def test_keys_are_counted_separately(clock: Clock) -> None:
    assert [attempt("7:1", limit=1), attempt("7:2", limit=1), attempt("8:1", limit=1)] == [
        None,
        None,
        None,
    ]
    assert [attempt("7:1", limit=1), attempt("7:2", limit=1), attempt("8:1", limit=1)] == [
        60,
        60,
        60,
    ]


def test_one_key_over_its_limit_is_enough(clock: Clock) -> None:
    assert attempt("7:1", limit=1) is None
    assert attempt("7:2", "7:1", limit=1) == 60


def test_scopes_are_counted_separately(clock: Clock, forgiving: None) -> None:
    assert attempt("7:1", limit=1) is None
    throttle("other", ["7:1"], limit=1, seconds=60, user_id=None)
    with pytest.raises(ThrottledError, match="other: try again in 60 s") as refused:
        throttle("other", ["7:1"], limit=1, seconds=60, user_id=None)
    assert (refused.value.scope, refused.value.retry_after) == ("other", 60)


@given(into=st.floats(min_value=0, max_value=10_000), seconds=st.integers(1, 5000))
def test_a_request_passes_after_the_wait(into: float, seconds: int) -> None:
    cache.clear()
    clock = Clock()
    clock.now += into
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(throttling, "time", clock)

        def attempt() -> None:
            throttle("checkout", ["7:1"], limit=1, seconds=seconds, user_id=None)

        attempt()
        with pytest.raises(ThrottledError) as refused:
            attempt()
        assert 1 <= refused.value.retry_after <= seconds
        clock.now += refused.value.retry_after
        attempt()


def test_a_refusal_is_recorded_and_logged(clock: Clock, lines: Lines) -> None:
    assert [attempt("7:1", limit=1), attempt("7:1", limit=1)] == [None, 60]
    assert [row[:3] for row in recorder._rows] == [
        ("throttled_requests", 1.0, '{"scope":"checkout","user_id":7}')
    ]
    (line,) = lines()
    assert line["message"] == "event=request.throttled"
    assert line["extra"] == {"scope": "checkout", "user_id": 7}


def test_without_a_cache_all_requests_pass_and_the_failure_is_counted(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    def away(key: str) -> int:
        raise ConnectionError("cache away")

    monkeypatch.setattr(cache, "incr", away)
    with moved() as changes:
        assert [attempt("7:1", limit=1) for _ in range(3)] == [None, None, None]
    assert changes == {'retail_telemetry_errors_total{sink="metrics"}': 3}
    assert [line["message"] for line in lines()] == ["event=throttle.cache_failed"] * 3


def test_counts_are_kept_with_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retail.throttling.time.time", lambda: 6000.0)
    for number in range(1000):
        throttle("checkout", [f"crowd:{number}"], limit=1, seconds=600, user_id=None)
    refused = 0
    for number in range(1000):
        try:
            throttle("checkout", [f"crowd:{number}"], limit=1, seconds=600, user_id=None)
        except ThrottledError:
            refused += 1
    assert refused == 1000

"""Interval aggregation produces exact rows."""

import threading
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail.observability.rows import intervals
from retail.observability.rows.intervals import (
    DURATION_BOUNDS_MS,
    FAST_FAIL_BOUNDS_MS,
    MOST_BUYERS,
    MOST_SCOPES,
    UNFOLDED_EVENTS,
    Intervals,
)
from retail.thresholds import THRESHOLDS


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_requests_become_an_error_rate_and_an_average_time() -> None:
    added = Intervals()
    for number, (status, seconds) in enumerate(
        [(200, 0.004), (404, 0.1), (500, 0.25), (503, 20), (302, 0.005)]
    ):
        added.add_request(status, seconds, "home", f"request-{number}")
    rows = added.drain()
    recent = rows[0][2].pop("recent")
    moments = [datetime.fromisoformat(error.pop("at")) for error in recent]
    assert moments == sorted(moments)
    assert all(moment.tzinfo is not None for moment in moments)
    assert recent == [
        {"request_id": "request-2", "view": "home", "status": 500},
        {"request_id": "request-3", "view": "home", "status": 503},
    ]
    assert rows == [
        (
            "error_rate",
            40.0,
            {"count": 5, "interval_seconds": 10, "errors": 2, "client_errors": 1},
        ),
        (
            "avg_response_time",
            pytest.approx(4071.8),
            {
                "count": 5,
                "interval_seconds": 10,
                "max_ms": 20000.0,
                "buckets": [2, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1],
            },
        ),
    ]


@pytest.mark.parametrize(
    ("status", "errors", "client_errors"),
    [(399, 0, 0), (400, 0, 1), (499, 0, 1), (500, 1, 0), (599, 1, 0)],
)
def test_a_status_is_a_server_error_or_a_client_error(
    status: int, errors: int, client_errors: int
) -> None:
    added = Intervals()
    added.add_request(status, 0.1)
    ((_, percent, metadata), _) = added.drain()
    assert (percent, metadata["errors"], metadata["client_errors"]) == (
        100.0 * errors,
        errors,
        client_errors,
    )


@pytest.mark.parametrize("index", range(len(DURATION_BOUNDS_MS)))
def test_a_bucket_includes_its_upper_bound(index: int) -> None:
    added = Intervals()
    added.add_request(200, DURATION_BOUNDS_MS[index] / 1000)
    added.add_request(200, (DURATION_BOUNDS_MS[index] + 0.5) / 1000)
    buckets = added.drain()[1][2]["buckets"]
    assert len(buckets) == len(DURATION_BOUNDS_MS) + 1
    assert [place for place, count in enumerate(buckets) if count] == [index, index + 1]


@given(st.lists(st.floats(min_value=0, max_value=100), min_size=1))
def test_every_request_is_in_one_bucket(durations: list[float]) -> None:
    added = Intervals()
    for seconds in durations:
        added.add_request(200, seconds)
    value, metadata = added.drain()[1][1:]
    assert sum(metadata["buckets"]) == metadata["count"] == len(durations)
    assert 0 <= value <= metadata["max_ms"] * (1 + 1e-9)


def test_the_breaker_has_a_row_with_its_last_state_and_all_attempts() -> None:
    added = Intervals()
    for state in ["closed", "closed", "open", "open", "open", "half_open"]:
        added.add_breaker_state("payments", state)
    assert added.drain() == [
        (
            "circuit_breaker_state",
            1.0,
            {
                "breaker": "payments",
                "state": "HALF_OPEN",
                "attempts": {"closed": 2, "open": 3, "half_open": 1},
                "count": 6,
            },
        )
    ]


@pytest.mark.parametrize(("state", "value"), [("closed", 0.0), ("half_open", 1.0), ("open", 2.0)])
def test_the_breakers_state_is_a_number(state: str, value: float) -> None:
    added = Intervals()
    added.add_breaker_state("payments", state)
    assert added.drain()[0][1] == value


def test_draining_starts_a_new_interval() -> None:
    added = Intervals()
    assert added.empty
    added.add_request(500, 1)
    added.add_breaker_state("payments", "open")
    assert not added.empty
    assert len(added.drain()) == 3
    assert added.empty
    assert added.drain() == []
    added.add_request(200, 0.001)
    assert [value for _, value, _ in added.drain()] == [0, 1]


def test_an_interval_is_due_after_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(intervals, "time", clock)
    added = Intervals()
    clock.now += 9.9
    assert not added.due
    clock.now += 0.1
    assert added.due
    added.drain()
    assert not added.due


def test_threads_lose_no_request() -> None:
    added = Intervals()
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        for _ in range(2000):
            added.add_request(200, 0.001)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert added.drain()[0][2]["count"] == 16000


def test_fast_fails_have_a_row_with_their_durations() -> None:
    added = Intervals()
    assert added.empty
    refusals = ((0.001, "9"), (0.0011, "9"), (0.1, ""), (0.101, "11"), (7, "9"))
    for seconds, buyer in refusals:
        added.add_fast_fail(seconds, buyer)
    assert not added.empty
    assert added.drain() == [
        (
            "circuit_breaker_state",
            2.0,
            {
                "state": "OPEN",
                "fast_fails": 5,
                "fast_fail_max_ms": 7000.0,
                "fast_fail_buckets": [1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1],
                "buyers": ["11", "9"],
                "count": 5,
            },
        )
    ]
    assert added.empty
    assert added.drain() == []


def test_the_named_buyers_of_an_interval_are_limited() -> None:
    added = Intervals()
    for number in range(MOST_BUYERS + 5):
        added.add_fast_fail(0.01, str(number))
    ((_, _, metadata),) = added.drain()
    assert (metadata["fast_fails"], len(metadata["buyers"])) == (MOST_BUYERS + 5, MOST_BUYERS)


def test_the_fast_fail_threshold_is_a_bucket_bound() -> None:
    assert THRESHOLDS.fast_fail.most_seconds * 1000 in FAST_FAIL_BOUNDS_MS


def test_a_flood_of_events_is_folded_by_type_and_scope() -> None:
    added = Intervals()
    throttled = [added.add_event("throttled_requests", 1, {"scope": "login"}) for _ in range(70)]
    assert throttled == [True] * UNFOLDED_EVENTS + [False] * (70 - UNFOLDED_EVENTS)
    assert added.add_event("throttled_requests", 1, {"scope": "checkout"})
    conflicts = [added.add_event("stock_conflicts", 2, {"product_ids": [1]}) for _ in range(25)]
    assert conflicts == [True] * 20 + [False] * 5
    assert added.drain() == [
        ("throttled_requests", 1.0, {"scope": "login", "count": 50, "folded": True}),
        ("stock_conflicts", 2.0, {"count": 5, "folded": True}),
    ]


def test_a_few_events_have_their_own_rows_in_each_interval() -> None:
    added = Intervals()
    for _ in range(3):
        assert all(added.add_event("stock_conflicts", 1, {}) for _ in range(UNFOLDED_EVENTS))
        assert not added.empty
        assert added.drain() == []
        assert added.empty


@pytest.mark.parametrize(
    ("metric_type", "metadata"),
    [("refunds_per_day", {}), ("error_rate", {}), ("throttled_requests", {"count": 7})],
)
def test_aggregates_and_other_types_are_never_folded(
    metric_type: str, metadata: dict[str, int]
) -> None:
    added = Intervals()
    assert all(added.add_event(metric_type, 1, metadata) for _ in range(3 * UNFOLDED_EVENTS))
    assert added.drain() == []


def test_the_number_of_scopes_in_memory_is_limited() -> None:
    added = Intervals()
    apart = sum(
        added.add_event("throttled_requests", 1, {"scope": f"scope {number}"})
        for number in range(10_000)
    )
    assert apart == MOST_SCOPES
    assert added.drain() == [
        (
            "throttled_requests",
            1.0,
            {"scope": "other", "count": 10_000 - MOST_SCOPES, "folded": True},
        )
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["stock_conflicts", "throttled_requests"]),
            st.sampled_from(["", "login", "checkout", "other"]),
            st.integers(0, 90),
        ),
        max_size=12,
    )
)
def test_no_event_is_lost(floods: list[tuple[str, str, int]]) -> None:
    added = Intervals()
    apart = sum(
        added.add_event(kind, 1, {"scope": scope})
        for kind, scope, number in floods
        for _ in range(number)
    )
    folded = sum(metadata["count"] for _, _, metadata in added.drain())
    assert apart + folded == sum(number for _, _, number in floods)

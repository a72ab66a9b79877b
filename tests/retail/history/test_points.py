"""Merging is commutative and associative, invalid data are ignored, quantiles match Prometheus."""

import json
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail.history.points import Accumulator, Point, floor, merged, point_of, quantile
from retail.observability.rows.intervals import DURATION_BOUNDS_MS, FAST_FAIL_BOUNDS_MS

START = datetime(2026, 11, 22, 14, 20, tzinfo=UTC)
NOTHING = {
    "attempts": {"closed": 0, "half_open": 0, "open": 0},
    "transitions": {"closed": 0, "half_open": 0, "open": 0},
    "fast_fails": 0,
    "fast_fail_buckets": [0] * 13,
    "fast_fail_max_ms": 0.0,
}

counts = st.integers(0, 10**9)
# Whole numbers, so that float sums do not depend on the order.
values = st.integers(-(10**6), 10**6).map(float)
points = st.builds(
    Point,
    start=st.integers(0, 59).map(lambda minutes: START + timedelta(minutes=minutes)),
    count=counts,
    total=values,
    minimum=values,
    maximum=values,
    aggregates=st.fixed_dictionaries(
        {},
        optional={
            "errors": counts,
            "max_ms": values,
            "fast_fail_max_ms": values,
            "buckets": st.lists(counts, max_size=4),
            "kinds": st.dictionaries(st.sampled_from(["cart", "flash"]), counts),
            "revenue": st.dictionaries(
                st.sampled_from(["EUR", "USD"]), st.decimals(0, 10**6, places=2).map(str)
            ),
        },
    ),
)


def together(*points: Point) -> Point:
    added = Accumulator(points[0])
    for point in points[1:]:
        added.add(point)
    return added.point


@given(points, points, points)
def test_points_merge_in_any_order_and_are_not_changed(
    one: Point, other: Point, third: Point
) -> None:
    before = repr((one, other, third))
    assert together(one, other) == together(other, one)
    assert together(together(one, other), third) == together(one, together(other, third))
    assert merged([one, other, third]) == together(together(one, other), third)
    assert together(one, other, third) == together(together(one, other), third)
    assert repr((one, other, third)) == before


def test_aggregates_merge_by_type() -> None:
    one = {"errors": 2, "max_ms": 9.5, "fast_fail_max_ms": 1.0, "buckets": [1, 2]}
    other = {"errors": 3, "max_ms": 8.0, "fast_fail_max_ms": 2.0, "buckets": [4, 0, 1]}
    money = {"EUR": "10.50"}, {"EUR": "0.50", "USD": "1"}
    aggregates = [{**each, "revenue": sum_} for each, sum_ in zip((one, other), money, strict=True)]
    added = merged([Point(START, 1, 1.0, 1.0, 1.0, each) for each in aggregates])
    assert added is not None
    assert added.aggregates == {
        "errors": 5,
        "max_ms": 9.5,
        "fast_fail_max_ms": 2.0,
        "buckets": [5, 2, 1],
        "revenue": {"EUR": "11.00", "USD": "1"},
    }


def test_merging_takes_the_earliest_start_and_the_extreme_values() -> None:
    early = Point(START, 2, 20.0, 5.0, 15.0)
    late = Point(START + timedelta(hours=1), 3, 3.0, 0.0, 2.0)
    assert merged([late, early]) == Point(START, 5, 23.0, 0.0, 15.0)
    assert merged([early]) == early
    assert merged([]) is None


def test_an_average_is_weighted_and_zero_without_events() -> None:
    assert Point(START, 4, 10.0, 1.0, 4.0).average == 2.5
    assert Point(START, 0, 0.0, 0.0, 0.0).average == 0.0


@pytest.mark.parametrize(
    ("step", "start"),
    [
        (timedelta(minutes=1), datetime(2026, 11, 22, 23, 45, tzinfo=UTC)),
        (timedelta(hours=1), datetime(2026, 11, 22, 23, tzinfo=UTC)),
        (timedelta(days=1), datetime(2026, 11, 22, tzinfo=UTC)),
    ],
)
def test_a_step_starts_in_utc(step: timedelta, start: datetime) -> None:
    delhi = timezone(timedelta(hours=5, minutes=30))
    assert floor(datetime(2026, 11, 23, 5, 15, 59, 999999, tzinfo=delhi), step) == start


@pytest.mark.parametrize(
    ("kind", "metadata", "aggregates"),
    [
        (
            "error_rate",
            {"count": 3, "errors": 2, "client_errors": 1, "interval_seconds": 10},
            {"errors": 2, "client_errors": 1},
        ),
        (
            "avg_response_time",
            {"count": 3, "max_ms": 7, "buckets": [1, 2, *[0] * 10]},
            {"max_ms": 7.0, "buckets": [1, 2, *[0] * 10]},
        ),
        (
            "circuit_breaker_state",
            {"count": 3, "state": "OPEN", "attempts": {"closed": 1, "open": 2, "half_open": 0}},
            {**NOTHING, "attempts": {"closed": 1, "half_open": 0, "open": 2}},
        ),
        (
            "circuit_breaker_state",
            {"breaker": "payments", "state": "OPEN", "transition": True},
            {**NOTHING, "transitions": {"closed": 0, "half_open": 0, "open": 1}},
        ),
        (
            "circuit_breaker_state",
            {
                "count": 3,
                "state": "OPEN",
                "fast_fails": 3,
                "fast_fail_max_ms": 4.5,
                "fast_fail_buckets": [1, 2, *[0] * 11],
            },
            {
                **NOTHING,
                "fast_fails": 3,
                "fast_fail_max_ms": 4.5,
                "fast_fail_buckets": [1, 2, *[0] * 11],
            },
        ),
        ("throttled_requests", {"count": 3, "scope": "login"}, {"by_scope": {"login": 6}}),
        ("throttled_requests", {"scope": "login"}, {"by_scope": {"login": 2}}),
        ("stock_conflicts", {"product_ids": [1, 2]}, {}),
        # Without more than a value, the value decides.
        ("error_rate", {"count": 150}, {"errors": 3, "client_errors": 0}),
        ("error_rate", {"count": 3}, {"errors": 0.06, "client_errors": 0}),
        ("avg_response_time", {"count": 3}, {"max_ms": 2.0, "buckets": [3, *[0] * 11]}),
        (
            "circuit_breaker_state",
            {"count": 3},
            {**NOTHING, "attempts": {"closed": 0, "half_open": 0, "open": 3}},
        ),
    ],
)
def test_a_row_becomes_the_aggregates_of_its_type(
    kind: str, metadata: Any, aggregates: Any
) -> None:
    weight = metadata.get("count", 1)
    assert point_of(kind, 2.0, metadata, START) == Point(
        START, weight, 2 * weight, 2, 2, aggregates
    )


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
names = "count errors client_errors buckets max_ms attempts state transition scope fast_fails"


@given(
    st.sampled_from(
        ["error_rate", "avg_response_time", "circuit_breaker_state", "throttled_requests"]
    ),
    st.dictionaries(
        st.sampled_from([*names.split(), "fast_fail_max_ms", "fast_fail_buckets"]), anything
    ),
)
def test_invalid_metadata_never_raise_and_still_merge(kind: str, metadata: Any) -> None:
    point = point_of(kind, 1.0, metadata, START)
    assert 0 < point.count <= 10**15
    whole = point_of(kind, 1.0, {}, START)
    assert set(point.aggregates) == set(whole.aggregates)
    assert together(point, whole).count == point.count + 1


@pytest.mark.parametrize("share", [100 * 1 / 3, 100 * 2 / 3, 100 / 7, 100 * 48 / 49])
def test_a_share_is_a_whole_number_of_errors_despite_rounding(share: float) -> None:
    errors = point_of("error_rate", share, {"count": 147}, START).aggregates["errors"]
    assert (type(errors), errors) == (int, round(share * 1.47))


@pytest.mark.parametrize("metadata", [None, 7, "count", [], True])
def test_missing_metadata_are_one_event(metadata: Any) -> None:
    assert point_of("error_rate", 2.0, metadata, START) == point_of("error_rate", 2.0, {}, START)


def test_invalid_metadata_count_nothing() -> None:
    metadata = {"errors": -1, "client_errors": True, "buckets": [1, 2], "max_ms": "long"}
    assert point_of("error_rate", 1.0, metadata, START).aggregates == {
        "errors": 0,
        "client_errors": 0,
    }
    aggregates = point_of("avg_response_time", 1.0, metadata, START).aggregates
    assert aggregates == {"buckets": [0] * 12, "max_ms": 0.0}


def some(**places: int) -> list[int]:
    """Return the buckets of response times; `b3=2` puts two into the third."""
    return [places.get(f"b{place}", 0) for place in range(1, len(DURATION_BOUNDS_MS) + 2)]


@pytest.mark.parametrize(
    ("buckets", "share", "most", "milliseconds"),
    [
        (some(), 0.5, None, None),
        (some(b1=10), 0.5, None, 2.5),  # from 0 to 5
        (some(b1=10), 0.95, None, 4.75),
        (some(b1=10), 0.95, 3.0, 3.0),  # nothing took longer
        (some(b1=50, b2=50), 0.5, None, 5.0),
        (some(b1=50, b2=50), 0.75, None, 7.5),
        (some(b1=1, b5=3), 0.5, None, 50 + 50 / 3),
        (some(b1=1, b5=3), 1.0, None, 100.0),
        (some(b12=1), 0.5, None, 10000.0),  # as in Prometheus
        (some(b12=1), 0.5, 30000.0, 20000.0),
        (some(b12=1), 1.0, 30000.0, 30000.0),
        (some(b1=1), 0.5, 0.0, 2.5),  # the longest duration is unknown
        ([0] * 7 + [100] + [0] * 5, 0.99, None, 75 + 25 * 0.99),  # of fast fails
    ],
)
def test_a_quantile_is_interpolated(
    buckets: list[int], share: float, most: float | None, milliseconds: float | None
) -> None:
    expected = milliseconds if milliseconds is None else pytest.approx(milliseconds)
    assert quantile(buckets, share, most) == expected


def test_response_times_and_fast_fails_differ_in_their_number_of_buckets() -> None:
    assert len(DURATION_BOUNDS_MS) != len(FAST_FAIL_BOUNDS_MS)


@pytest.mark.parametrize(("number", "share"), [(11, 0.5), (14, 0.5), (12, 0.0), (12, 1.01)])
def test_an_invalid_quantile_is_refused(number: int, share: float) -> None:
    with pytest.raises(ValueError, match=f"no quantile {share} of {number} buckets"):
        quantile([1] * number, share)


@given(
    st.lists(st.integers(0, 1000), min_size=12, max_size=12).filter(any),
    st.integers(1, 99),
    st.integers(1, 99),
)
def test_quantiles_grow_with_the_share_and_stay_within_the_bounds(
    buckets: list[int], one: int, other: int
) -> None:
    low, high = (quantile(buckets, share / 100) for share in sorted([one, other]))
    assert low is not None
    assert high is not None
    assert 0 < low <= high <= DURATION_BOUNDS_MS[-1]


def test_a_quantile_equals_histogram_quantile(promtool: str, tmp_path: Path) -> None:
    cases = [
        ([7, 0, 0, 3, 12, 5, 0, 1, 0, 0, 1, 2], share)
        for share in (0.001, 0.25, 0.5, 0.7, 0.9, 0.95, 0.97, 1)
    ] + [([0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0.5), ([1] * 12, 0.99), ([0] * 11 + [4], 0.5)]
    series, asked = [], []
    for number, (buckets, share) in enumerate(cases):
        below = 0
        for bound, count in zip([*DURATION_BOUNDS_MS, "+Inf"], buckets, strict=True):
            below += count
            name = f'ms_bucket{{number="{number}", le="{bound}"}}'
            series.append({"series": name, "values": f"{below}"})
        answer = quantile(buckets, share)
        difference = f'abs(histogram_quantile({share}, ms_bucket{{number="{number}"}}) - {answer})'
        asked.append(
            {
                "expr": f"sum({difference} < bool 1e-9)",
                "eval_time": "0m",
                "exp_samples": [{"labels": "{}", "value": 1}],
            }
        )
    tests = {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": asked}]}
    (tmp_path / "tests.yml").write_text(json.dumps(tests), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done


@pytest.mark.parametrize(
    ("given", "kept"),
    [(10**15, 10**15), (10**15 + 1, 0), (1, 1), (0, 0), (-1, 0), (True, 0), (1.0, 0), ("1", 0)],
)
def test_a_number_of_events_is_a_whole_one_that_the_database_can_hold(
    given: object, kept: int
) -> None:
    facts = point_of("error_rate", 1.0, {"errors": given, "count": given}, START)
    assert facts.aggregates == {"errors": kept, "client_errors": 0}
    assert facts.count == (kept or 1)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (1e15, 1e15),
        (10**15 + 1, 0.0),
        (0.5, 0.5),
        (7, 7.0),
        (0, 0.0),
        (-0.5, 0.0),
        (True, 0.0),
        ("7", 0.0),
        (float("inf"), 0.0),
        (float("nan"), 0.0),
    ],
)
def test_a_longest_duration_is_a_finite_number_above_zero(given: object, kept: float) -> None:
    assert point_of("avg_response_time", 1.0, {"max_ms": given}, START).aggregates["max_ms"] == kept


def test_a_quantile_at_the_end_of_a_bucket_is_its_bound_also_before_empty_ones() -> None:
    assert quantile(some(b2=50, b5=50), 0.5) == 10.0

"""Recording of metric rows: cheap, reliable, and without effect on the caller."""

import math
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from retail.history import rollups
from retail.models import Metric
from retail.observability import record_metric
from retail.observability.prometheus.instruments import telemetry
from retail.observability.rows import recorder as recording
from retail.observability.rows.recorder import Recorder, Row, recorder
from tests.retail.conftest import Lines
from tests.support import moved

ROWS_ERROR = 'retail_telemetry_errors_total{sink="rows"}'
DROPPED = "retail_metric_rows_dropped_total"


def stored() -> list[tuple[str, float, Any]]:
    rows = Metric.objects.order_by("pk").values_list("metric_type", "value", "metadata")
    return [(kind, value, metadata) for kind, value, metadata in rows]


@pytest.mark.django_db
def test_a_row_is_stored_with_its_metadata_and_time(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(0):
        record_metric("stock_conflicts", 1, {"product_id": 123, "product_name": "Lamp"})
        record_metric("orders_per_day", 1)
    assert stored() == []
    moments = [row.timestamp for row in recorder._rows]
    recorder.flush()
    assert stored() == [
        ("stock_conflicts", 1.0, {"product_id": 123, "product_name": "Lamp"}),
        ("orders_per_day", 1.0, {}),
    ]
    assert list(Metric.objects.order_by("pk").values_list("timestamp", flat=True)) == moments


@pytest.mark.django_db
def test_a_row_survives_the_transaction_it_was_recorded_in() -> None:
    def refused() -> None:
        with transaction.atomic():
            record_metric("stock_conflicts", 1, {"product_ids": [1, 2]})
            raise IntegrityError

    with pytest.raises(IntegrityError):
        refused()
    recorder.flush()
    assert stored() == [("stock_conflicts", 1.0, {"product_ids": [1, 2]})]


@pytest.mark.django_db
def test_metadata_is_copied_at_the_call() -> None:
    metadata = {"ids": [1]}
    record_metric("orders_per_day", 1, metadata)
    metadata["ids"].append(2)
    recorder.flush()
    assert stored() == [("orders_per_day", 1.0, {"ids": [1]})]


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError


NONSENSE = [
    pytest.param("clicks", 1, {}, id="unknown type"),
    pytest.param(["clicks"], 1, {}, id="no type"),
    pytest.param("orders_per_day", math.nan, {}, id="nan"),
    pytest.param("orders_per_day", math.inf, {}, id="infinite"),
    pytest.param("orders_per_day", "many", {}, id="a word"),
    pytest.param("orders_per_day", None, {}, id="no value"),
    pytest.param("orders_per_day", 1, {"a": Unspeakable()}, id="unspeakable"),
    pytest.param("orders_per_day", 1, {1: 2}, id="key is no name"),
    pytest.param("orders_per_day", 1, {"a": 2**70}, id="huge"),
    pytest.param("orders_per_day", 1, {"a": "\ud800"}, id="half a character"),
    pytest.param("orders_per_day", 1, 7, id="no mapping"),
    *(
        pytest.param(kind, value, {}, id=f"{kind}={value}")
        for kind in ("orders_per_day", "refunds_per_day", "stock_conflicts", "throttled_requests")
        for value in (-1, 0.5, 1e16)
    ),
    *(
        pytest.param(kind, value, {}, id=f"{kind}={value}")
        for kind in ("error_rate", "payment_success_rate")
        for value in (-0.1, 100.1)
    ),
    pytest.param("error_rate", 50, {"count": 4, "errors": 1}, id="another share"),
    pytest.param("avg_response_time", -1, {}, id="negative time"),
    pytest.param("avg_response_time", 5, {"count": 3, "buckets": [1, 1]}, id="other buckets"),
    pytest.param("circuit_breaker_state", 3, {}, id="no state"),
    pytest.param("circuit_breaker_state", 0.5, {}, id="between states"),
    pytest.param("circuit_breaker_state", 2, {"state": "CLOSED"}, id="another state"),
    pytest.param("circuit_breaker_state", 2, {"state": "AJAR"}, id="unknown state"),
    *(
        pytest.param("stock_conflicts", 1, {"count": count}, id=f"count={count}")
        for count in (0, -3, 2.0, "many", None, True)
    ),
]

SENSE: list[tuple[str, float, dict[str, Any]]] = [
    *(
        (kind, value, {})
        for kind in ("orders_per_day", "refunds_per_day", "stock_conflicts", "throttled_requests")
        for value in (0, 1, 7, 10**15)
    ),
    *((kind, value, {}) for kind in ("error_rate", "payment_success_rate") for value in (0, 100)),
    ("error_rate", 2.5, {}),
    ("error_rate", 100 / 3, {"count": 3, "errors": 1}),
    ("avg_response_time", 0, {}),
    ("avg_response_time", 5.5, {"count": 3, "buckets": [1, 2]}),
    *(("circuit_breaker_state", value, {}) for value in (0, 1, 2)),
    ("circuit_breaker_state", 2, {"state": "OPEN", "transition": True}),
    ("stock_conflicts", 1, {"count": 3}),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "value", "metadata"), SENSE)
def test_a_row_that_makes_sense_is_stored(kind: str, value: float, metadata: Any) -> None:
    record_metric(kind, value, metadata)
    recorder.flush()
    assert stored() == [(kind, value, metadata)]


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "value", "metadata"), NONSENSE)
def test_an_invalid_row_is_counted_and_does_not_raise(
    kind: Any, value: Any, metadata: Any, forgiving: None
) -> None:
    with moved() as changes:
        record_metric(kind, value, metadata)
        recorder.flush()
    assert changes == {ROWS_ERROR: 1}
    assert stored() == []


@pytest.mark.parametrize(("kind", "value", "metadata"), NONSENSE)
def test_an_invalid_row_raises_in_tests(kind: Any, value: Any, metadata: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        record_metric(kind, value, metadata)


@given(st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.binary()), st.data())
def test_recording_never_raises(value: Any, data: st.DataObject) -> None:
    metadata = data.draw(st.dictionaries(st.text(), st.one_of(st.text(), st.floats(), st.binary())))
    strict, telemetry.strict = telemetry.strict, False
    try:
        record_metric("error_rate", value, metadata)
    finally:
        telemetry.strict = strict


@pytest.mark.django_db
def test_rows_beyond_the_limit_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LIMIT", 3)
    with moved() as changes:
        for number in range(5):
            record_metric("orders_per_day", number)
    assert changes == {DROPPED: 2}
    recorder.flush()
    assert [value for _, value, _ in stored()] == [0, 1, 2]
    record_metric("orders_per_day", 5)
    recorder.flush()
    assert [value for _, value, _ in stored()] == [0, 1, 2, 5]


@pytest.mark.django_db
def test_rows_keep_their_order_while_they_cannot_be_written(
    forgiving: None, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    monkeypatch.setattr(recording, "BATCH", 2)
    written: list[float] = []
    failing = True

    def write(rows: list[Row]) -> None:
        if failing and len(written) == 2:
            raise OSError("database away")
        written.extend(row.value for row in rows)

    monkeypatch.setattr(recorder, "writer", write)
    with moved() as changes:
        for number in range(5):
            record_metric("orders_per_day", number)
        recorder.flush()
    assert changes == {ROWS_ERROR: 1}
    assert written == [0, 1]
    assert [line["message"] for line in lines()] == ["event=metric_rows.not_written"]
    assert lines()[0]["extra"]["rows"] == 2
    failing = False
    record_metric("orders_per_day", 5)
    recorder.flush()
    assert written == [0, 1, 2, 3, 4, 5]


def test_rows_wait_for_a_writer() -> None:
    recorder = Recorder()
    recorder.use_thread = False
    recorder.intervals.add_request(200, 0.1)
    recorder.flush()
    assert len(recorder._rows) == 2
    written: list[Row] = []
    recorder.writer = written.extend
    recorder.flush()
    assert [row.metric_type for row in written] == ["error_rate", "avg_response_time"]


def test_the_current_interval_is_written_only_on_request() -> None:
    recorder = Recorder()
    recorder.use_thread = False
    written: list[Row] = []
    recorder.writer = written.extend
    recorder.intervals.add_request(500, 0.1)
    recorder.flush(intervals=False)
    assert written == []
    recorder.flush()
    assert [(row.metric_type, row.value) for row in written] == [
        ("error_rate", 100.0),
        ("avg_response_time", 100.0),
    ]


@pytest.mark.django_db
def test_a_row_rejected_by_the_database_does_not_block_others() -> None:
    def refuse_poison(execute: Any, sql: str, parameters: Any, *more: Any) -> Any:
        if "INSERT INTO retail_metric" in sql and '{"poison":true}' in parameters:
            raise DataError("unsupported Unicode escape sequence")
        return execute(sql, parameters, *more)

    assert recorder.writer is rollups.write_rows
    with moved() as changes, connection.execute_wrapper(refuse_poison):
        for number in range(5):
            record_metric("orders_per_day", number, {"poison": number in {1, 3}})
        recorder.flush()
    assert changes == {DROPPED: 2}
    assert [value for _, value, _ in stored()] == [0, 2, 4]


@pytest.mark.django_db
def test_any_text_that_is_json_can_be_metadata_or_is_dropped() -> None:
    with moved() as changes:
        record_metric("orders_per_day", 1, {"text": "a\x00b"})
        record_metric("orders_per_day", 1e15, {"number": 2**64 - 1})
        recorder.flush()
    # PostgreSQL's JSON has no NUL; SQLite's has.
    assert len(stored()) + changes.get(DROPPED, 0) == 2
    assert stored()[-1] == ("orders_per_day", 1e15, {"number": 2**64 - 1})


def test_the_thread_starts_with_the_first_row_and_writes_soon() -> None:
    recorder = Recorder()
    recorder.flush_seconds = 0.01
    written = threading.Event()
    recorder.writer = lambda _rows: written.set()
    recorder.flush()
    assert recorder._thread is None
    record = Row("orders_per_day", 1, "{}", datetime.now(UTC))
    recorder.add(record)
    thread = recorder._thread
    recorder.add(record)
    assert recorder._thread is thread
    assert written.wait(timeout=60)
    recorder.close()
    assert thread is not None
    assert not thread.is_alive()


@pytest.mark.django_db
def test_a_flood_is_folded_and_every_event_is_counted() -> None:
    for number in range(1000):
        record_metric("throttled_requests", 1, {"scope": "login", "user_id": number % 7})
    record_metric("stock_conflicts", 1, {"product_ids": [3]})
    recorder.flush()
    apart = [("throttled_requests", 1.0, {"scope": "login", "user_id": n % 7}) for n in range(20)]
    assert stored() == [
        *apart,
        ("stock_conflicts", 1.0, {"product_ids": [3]}),
        ("throttled_requests", 1.0, {"scope": "login", "count": 980, "folded": True}),
    ]
    moment = Metric.objects.earliest("timestamp").timestamp
    points = rollups.aggregate_rows(moment, datetime.now(UTC) + rollups.MINUTE, rollups.DAY)
    assert sorted((kind, point.count, point.aggregates) for (kind, _), point in points.items()) == [
        ("stock_conflicts", 1, {}),
        ("throttled_requests", 1000, {"by_scope": {"login": 1000}}),
    ]


@pytest.mark.django_db
def test_an_interval_without_requests_also_ends() -> None:
    for _ in range(2):
        for _ in range(25):
            record_metric("stock_conflicts", 1)
        recorder.flush()
    counts = [metadata.get("count", 1) for _, _, metadata in stored()]
    assert counts == [*[1] * 20, 5, *[1] * 20, 5]

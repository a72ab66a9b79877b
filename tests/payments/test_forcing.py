"""Operators force the breaker open or closed for a while, or return it to automatic."""

import json
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from pytest_django import DjangoAssertNumQueries, Settings

from payments import breaker
from payments.breaker import BreakerOpenError, Permit
from payments.models import CircuitBreaker
from payments.services import breaker_force, breaker_unforce
from retail.observability.logs.formatter import JsonFormatter
from tests.payments.support import Clock, fail, state
from tests.support import moved

pytestmark = pytest.mark.django_db(transaction=True)

TRANSITION = 'retail_circuit_breaker_transitions_total{{breaker="payments",to="{}"}}'.format
GAUGE = 'retail_circuit_breaker_state{{breaker="payments",state="{}"}}'.format
AUTOMATIC = {"forced_state": "", "forced_reason": "", "forced_until": None, "forced_by": ""}
FORCED = 'retail_security_events_total{event="breaker_forced"}'
MINUTE = 60


def force(to: str, minutes: int = 10, reason: str = "gateway's maintenance") -> datetime:
    return breaker_force(state=to, reason=reason, minutes=minutes, by="anna", user_id=7)


def refused() -> int:
    """Expect acquire() to be refused; return the seconds to wait."""
    with pytest.raises(BreakerOpenError) as error:
        breaker.acquire("buyer")
    return error.value.retry_after


def row() -> dict[str, Any]:
    return dict(CircuitBreaker.objects.values().get())


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """Return the log lines of this event, formatted as JSON and parsed again."""
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    return [line for line in lines if line["message"] == f"event={name}"]


def test_forced_open_it_refuses_everybody_with_at_most_the_usual_wait(
    clock: Clock,
) -> None:
    breaker.acquire("creates the row")
    with moved() as changes:
        until = force("open")
    assert until == clock.now + timedelta(minutes=10)
    assert changes == {TRANSITION("open"): 1, GAUGE("open"): 1, GAUGE("closed"): -1, FORCED: 1}
    assert row() == {
        "name": "payments",
        "state": "open",
        "failures": 0,
        "opened_at": clock.now,
        "open_since": clock.now,
        "probe": "",
        "probe_until": None,
        "forced_state": "open",
        "forced_reason": "gateway's maintenance",
        "forced_until": until,
        "forced_by": "anna",
        "version": 1,
    }
    forced = row()
    waits = []
    for passed in (0, 5, 590, 1, 3.9):
        clock.forward(passed)
        waits.append(refused())
    assert waits == [5, 5, 5, 4, 1]
    assert row() == forced


@pytest.mark.parametrize(("reset_seconds", "wait"), [(0.1, 1), (4.2, 5), (60, 60)])
def test_the_wait_is_the_reset_time_rounded_up(
    clock: Clock, settings: Settings, reset_seconds: float, wait: int
) -> None:
    settings.BREAKER_RESET_SECONDS = reset_seconds
    force("open")
    assert refused() == wait


def test_after_a_forced_open_the_next_caller_probes(clock: Clock) -> None:
    force("open", 1)
    clock.forward(MINUTE - 0.1)
    assert refused() == 1
    clock.forward(0.1)
    with moved() as changes:
        probe = breaker.acquire("first")
        assert refused() == 1
    assert changes == {
        TRANSITION("half_open"): 1,
        'retail_payment_attempts_total{outcome="short_circuited"}': 1,
    }  # the gauge showed half_open already
    assert probe.probe
    assert AUTOMATIC.items() <= row().items()
    breaker.report(probe, succeeded=False)
    assert (state(), row()["opened_at"]) == ("open", clock.now)
    assert refused() == 5


@pytest.mark.parametrize(("to", "after"), [("open", "half_open"), ("closed", "closed")])
def test_gauge_and_row_show_the_new_state_as_soon_as_the_force_expires(
    clock: Clock, to: str, after: str
) -> None:
    fail(5)
    force(to, 1)
    with moved() as changes:
        clock.forward(MINUTE)
    expected = {} if to == after else {GAUGE(to): -1, GAUGE(after): 1}
    assert changes == expected
    current = CircuitBreaker.objects.get()
    assert (current.state, current.state_now, current.is_forced) == (to, after, False)
    breaker.acquire("buyer")
    assert state() == after


def test_forced_closed_it_admits_everybody_and_counts_no_failures(clock: Clock) -> None:
    fail(5)
    with moved() as changes:
        force("closed")
    assert changes == {TRANSITION("closed"): 1, GAUGE("closed"): 1, GAUGE("open"): -1, FORCED: 1}
    forced = row()
    with moved() as changes:
        fail(50)
        breaker.report(breaker.acquire("buyer"), succeeded=True)
        assert breaker.acquire("buyer") == Permit("buyer", probe=False, failures=0)
    assert changes == {}
    assert row() == forced
    clock.forward(10 * MINUTE)
    fail(1)
    assert (state(), row()["failures"]) == ("closed", 1)
    assert AUTOMATIC.items() <= row().items()
    fail(4)
    assert state() == "open"


@pytest.mark.parametrize("to", ["open", "closed"])
def test_a_force_cancels_a_probe_in_progress(clock: Clock, to: str) -> None:
    fail(5)
    clock.forward(5)
    probe = breaker.acquire("prober")
    force(to)
    forced = row()
    assert (forced["state"], forced["probe"], forced["probe_until"]) == (to, "", None)
    for succeeded in (True, False):
        breaker.report(probe, succeeded=succeeded)
    breaker.release(probe)
    assert row() == forced
    breaker_unforce(user_id=7)
    released = row()
    breaker.report(probe, succeeded=False)
    assert row() == released


@pytest.mark.parametrize(
    ("to", "after", "changes"),
    [("open", "half_open", {TRANSITION("half_open"): 1}), ("closed", "closed", {})],
)
def test_unforce_returns_it_to_automatic_at_once(
    clock: Clock, to: str, after: str, changes: dict[str, float]
) -> None:
    fail(3)
    force(to)
    with moved() as metric_changes:
        assert breaker_unforce(user_id=7)
    transitions = {name: by for name, by in metric_changes.items() if "transitions" in name}
    assert transitions == changes
    assert (state(), row()["failures"]) == (after, 0)
    assert AUTOMATIC.items() <= row().items()
    before = row()
    assert not breaker_unforce(user_id=7)
    assert row() == before
    assert breaker.acquire("buyer").probe == (to == "open")


def test_a_new_force_replaces_the_old_and_the_same_state_is_no_transition(clock: Clock) -> None:
    force("open", 10)
    clock.forward(MINUTE)
    with moved() as changes:
        force("open", 1, "shorter")
    assert changes == {FORCED: 1}
    assert (row()["forced_reason"], row()["forced_until"]) == (
        "shorter",
        clock.now + timedelta(minutes=1),
    )
    with moved() as changes:
        force("closed", 240)
    assert changes == {TRANSITION("closed"): 1, GAUGE("closed"): 1, GAUGE("open"): -1, FORCED: 1}


def test_a_write_between_reading_and_forcing_is_not_lost(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(5)
    clock.forward(5)
    real, versions = breaker._compare_and_set, []

    def acquire_first(row: CircuitBreaker, **changes: object) -> bool:
        versions.append(row.version)
        if len(versions) == 1:  # a concurrent caller takes the probe
            breaker.acquire("prober")
        return real(row, **changes)

    monkeypatch.setattr(breaker, "_compare_and_set", acquire_first)
    force("closed")
    assert versions == [5, 5, 6]
    assert (row()["state"], row()["probe"], row()["version"]) == ("closed", "", 7)


def test_the_log_records_who_why_and_until_when_in_one_line_each(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "retail.payments")
    until = force("open", reason='tired"}\n{"message": "event=fake"')
    breaker_unforce(user_id=8)
    force("closed", 1)
    clock.forward(MINUTE)
    breaker.acquire("buyer")
    forced, released = events(caplog, "breaker.forced"), events(caplog, "breaker.released")
    assert [line["level"] for line in forced + released] == ["WARNING"] * 4
    assert forced[0]["extra"] == {
        "breaker": "payments",
        "to": "open",
        "reason": 'tired"}\n{"message": "event=fake"',
        "until": until.isoformat(timespec="seconds"),
        "user_id": 7,
    }
    assert [line["extra"] for line in released] == [
        {"breaker": "payments", "to": "half_open", "user_id": 8},
        {"breaker": "payments", "to": "closed", "user_id": None},
    ]
    assert all("\n" not in JsonFormatter().format(record) for record in caplog.records)
    states = [line["extra"]["to"] for line in events(caplog, "breaker.transition")]
    assert states == ["open", "half_open", "closed"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "half_open"},
        {"state": ""},
        {"minutes": 0},
        {"minutes": 241},
        {"reason": ""},
        {"reason": "x" * 201},
        {"by": ""},
    ],
    ids=str,
)
def test_an_invalid_force_is_refused_and_changes_nothing(
    clock: Clock, wrong: dict[str, Any]
) -> None:
    breaker.acquire("buyer")
    before = row()
    valid: dict[str, Any] = {
        "state": "open",
        "reason": "x" * 200,
        "minutes": 240,
        "by": "anna",
        "user_id": 7,
    }
    with pytest.raises(ValueError, match=r"forced|reason"):
        breaker_force(**{**valid, **wrong})
    assert row() == before
    assert breaker_force(**valid) == clock.now + timedelta(hours=4)


@pytest.mark.parametrize(
    "changes",
    [
        {"forced_reason": ""},
        {"forced_by": ""},
        {"forced_until": None},
        {"forced_state": ""},
        {"forced_state": "half_open", "state": "half_open"},
        {"forced_state": "closed"},
        {"state": "closed"},
    ],
    ids=str,
)
def test_the_database_refuses_an_incomplete_force(clock: Clock, changes: dict[str, Any]) -> None:
    force("open")
    with pytest.raises(IntegrityError):
        CircuitBreaker.objects.update(**changes)
    CircuitBreaker.objects.update(**AUTOMATIC)


def test_while_forced_closed_acquire_costs_one_read_and_a_success_no_query(
    clock: Clock, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    force("closed")
    with django_assert_num_queries(1):
        breaker.report(breaker.acquire("buyer"), succeeded=True)


def test_two_concurrent_callers_end_an_expired_force_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    force("open", 1)
    clock.forward(MINUTE)
    real, versions = breaker._compare_and_set, []

    def acquire_first(row: CircuitBreaker, **changes: object) -> bool:
        versions.append(row.version)
        if len(versions) == 1:
            assert breaker.acquire("quicker").probe
        return real(row, **changes)

    monkeypatch.setattr(breaker, "_compare_and_set", acquire_first)
    with moved() as changes:
        assert refused() == 1
    assert changes[TRANSITION("half_open")] == 1
    assert row()["probe"] == "quicker"


def test_the_shortest_force_is_a_minute_with_a_reason_of_one_character(clock: Clock) -> None:
    assert force("open", 1, "x") == clock.now + timedelta(minutes=1)
    assert row()["forced_reason"] == "x"

"""What the scenarios' page says about each number, and the queries to run by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from quality import evaluators
from quality.catalogue import EVALUATED
from quality.scenario import EvidenceQuery, Scenario
from quality.selectors import evaluations
from retail.history.read import TimeRange
from tests.quality.support import (
    MINUTE,
    NOON,
    ago,
    answered,
    audited,
    evaluated,
    fast_fails,
    measure,
    numbers,
    order,
    row,
)

pytestmark = pytest.mark.django_db


def test_oversold_units_are_of_all_time_or_not_audited() -> None:
    assert measure(evaluated("A1"), "Oversold").note == f"no audit in {evaluators.AUDIT_AGE}"
    audited()
    assert measure(evaluated("A1"), "Oversold").note == "all time, in paid orders"


def test_a_flash_order_and_one_within_a_second_of_it_both_compete() -> None:
    audited()
    order(kind="flash", status="PENDING")
    order(60 + 1 / 60)
    competing = measure(evaluated("A1"), "Competing")
    assert (competing.value, competing.note) == (
        *(2, "flash-sale orders: 1; within a second of another order: 1"),
    )


def test_a_payment_created_when_the_window_ends_is_not_in_it() -> None:
    order(0.5, status="PENDING")
    order(0.5 + 1 / 60, status="PENDING")
    for until, pending in ((ago(0.5), 1), (ago(0.25), 2)):
        results = {scenario.id: result for scenario, result in evaluations(1, until).items()}
        assert f"{pending} pending" in measure(results["A2"], "Payments").note


def test_one_checkout_is_a_checkout() -> None:
    fast_fails(5, le1=1)
    assert measure(evaluated("A2"), "Fast-fail").note == (
        "1 checkout refused by the breaker, which opened 0 times"
    )
    fast_fails(6, le1=1)
    assert measure(evaluated("A2"), "Fast-fail").note.startswith("2 checkouts refused")


def test_objectives_are_given_as_percent_and_milliseconds() -> None:
    row("throttled_requests", 2, scope="login")
    answered(2, count=100, errors=0, le1000=100)
    objectives = {each.name: each.objective for each in evaluated("P1").measures}
    assert objectives == {
        "Throttled requests": "≥ 1",
        "Error rate during throttling": "≤ 5 %",
        "Response time during throttling, p95": "≤ 1000 ms",
    }
    assert numbers(evaluated("P1"))["Error rate during throttling"] == (0.0, True)


@pytest.mark.parametrize(
    ("length", "window"),
    [
        (10 * MINUTE, "1h"),
        (60 * MINUTE, "1h"),
        (89 * MINUTE, "1h"),
        (91 * MINUTE, "2h"),
        (timedelta(days=90), "2160h"),
    ],
)
def test_a_querys_window_is_in_whole_hours(length: timedelta, window: str) -> None:
    query = EvidenceQuery("PromQL", "x[$window] $since")
    span = TimeRange(NOON - length, NOON, MINUTE)
    assert query.of(span) == f"x[{window}] {NOON - length:%Y-%m-%d %H:%M:%S}+00"


def test_where_the_evidence_comes_from() -> None:
    running: Scenario = EVALUATED[0]
    tested = replace(running, evaluate=None)
    assert [
        scenario.evidence
        for scenario in (
            replace(running, proofs=("a test",)),
            replace(running, proofs=()),
            replace(tested, missing_reason=""),
            replace(tested, missing_reason="no time"),
        )
    ] == ["the running shop and tests", "the running shop", "tests", "none yet"]

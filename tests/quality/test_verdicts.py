"""Verdicts for known orders, payments and rows, on both sides of each threshold."""

from datetime import timedelta

import pytest
from django_q.models import OrmQ

from quality import evaluators
from quality.catalogue import EVALUATED
from quality.scenario import Verdict
from quality.selectors import evaluations
from retail.history.rollups import roll_up
from retail.models import Metric, RollupMark
from retail.observability.prometheus import catalogue
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
    orders,
    really_now,
    row,
)
from tests.support import make_product

pytestmark = pytest.mark.django_db
PAID = "Payments completed"
FAST_FAIL = "Fast-fail time, p99"
IN_TIME = "Flash-sale payments settled within 60 s"
LONGEST_WAIT = "Longest wait in the job queue, now"


@pytest.mark.parametrize("days", [1, 7, 30])
def test_without_traffic_there_is_no_evidence(days: int) -> None:
    audited()
    results = evaluations(days, NOON)
    assert tuple(results) == EVALUATED
    assert {result.verdict for result in results.values()} == {Verdict.NO_EVIDENCE}


# --- A1 ---
def test_a_flash_sale_without_conflict_or_oversold_unit_passes() -> None:
    audited()
    order(kind="flash")
    result = evaluated("A1")
    assert result.verdict == Verdict.PASS
    assert numbers(result) == {
        "Stock conflicts": (0, True),
        "Oversold units": (0, True),
        "Competing checkouts": (1, True),
    }


def test_one_conflict_is_a_fail_even_without_a_flash_sale() -> None:
    audited()
    row("stock_conflicts", 5)
    result = evaluated("A1")
    assert result.verdict == Verdict.FAIL
    assert numbers(result)["Stock conflicts"] == (1, False)
    order(kind="flash")
    assert evaluated("A1").verdict == Verdict.FAIL


def test_one_oversold_unit_is_a_fail() -> None:
    sale = order(kind="flash").sale
    sale.items.create(product=make_product(stock=3), unit_price="2.50", quantity=4)
    audited()
    result = evaluated("A1")
    assert result.verdict == Verdict.FAIL
    assert numbers(result)["Oversold units"] == (1, False)


def test_without_an_audit_there_is_no_evidence() -> None:
    order(kind="flash")
    result = evaluated("A1")
    assert result.verdict == Verdict.NO_EVIDENCE
    assert numbers(result)["Oversold units"] == (None, None)


def test_only_concurrent_orders_are_evidence() -> None:
    audited()
    orders(3)
    assert evaluated("A1").verdict == Verdict.NO_EVIDENCE
    order(60 + 1 / 60)  # a second before the first
    result = evaluated("A1")
    assert result.verdict == Verdict.PASS
    assert measure(result, "Competing").note == (
        "flash-sale orders: 0; within a second of another order: 1"
    )


def test_a_flash_order_competes_whatever_its_payment_status() -> None:
    audited()
    order(kind="flash", status="PENDING")
    answered(60, count=1, errors=0, le1000=1)
    assert evaluated("A1").verdict == Verdict.PASS


def test_the_bounds_of_the_window() -> None:
    audited()
    order(kind="flash")
    start = 23 * 60 + 0.5  # of noon's window of 24 hours, in minutes before noon
    row("stock_conflicts", start + 0.1)
    row("stock_conflicts", -0.1)
    roll_up(NOON)
    assert evaluated("A1").verdict == Verdict.PASS
    assert evaluated("A1", days=7).verdict == Verdict.FAIL
    row("stock_conflicts", start)
    RollupMark.objects.all().delete()
    Metric.objects.filter(timestamp__gt=NOON).delete()
    roll_up(NOON)
    assert numbers(evaluated("A1"))["Stock conflicts"] == (1, False)


# --- A2 ---
@pytest.mark.parametrize(
    ("completed", "failed", "percent", "verdict"),
    [
        (19, 1, 95.0, Verdict.PASS),
        (18, 2, 90.0, Verdict.FAIL),
        (57, 3, 95.0, Verdict.PASS),
        (20, 0, 100.0, Verdict.PASS),
        (0, 20, 0.0, Verdict.FAIL),
        (7, 2, 100 * 7 / 9, Verdict.NO_EVIDENCE),
        (0, 19, 0.0, Verdict.NO_EVIDENCE),
        (19, 0, 100.0, Verdict.NO_EVIDENCE),
    ],
)
def test_a2_needs_95_percent_of_payments_completed(
    completed: int, failed: int, percent: float, verdict: Verdict
) -> None:
    orders(completed)
    orders(failed, status="FAILED")
    result = evaluated("A2")
    assert result.verdict == verdict
    met = {Verdict.PASS: True, Verdict.FAIL: False}.get(verdict)
    assert numbers(result)[PAID] == (percent, met)
    assert ("too few to evaluate: at least 20 needed" in measure(result, PAID).note) == (
        met is None
    )


@pytest.mark.parametrize("status", ["UNKNOWN", "PENDING"])
def test_a_payment_without_an_outcome_counts_as_failed_after_15_minutes(status: str) -> None:
    orders(20, minutes=30)
    order(15, status="UNKNOWN")
    order(15, status="PENDING")
    order(0.4, status="PENDING")
    result = evaluated("A2")
    assert result.verdict == Verdict.PASS
    assert numbers(result)[PAID] == (100.0, True)
    assert measure(result, PAID).note == (
        "20 of 20 payments, 0 overdue; not counted: 1 pending, 2 unknown"
    )
    orders(2, 15 + 1 / 60, status=status)
    result = evaluated("A2")
    assert result.verdict == Verdict.FAIL
    assert numbers(result)[PAID] == (100 * 20 / 22, False)
    assert measure(result, PAID).note == (
        "20 of 22 payments, 2 overdue; not counted: 1 pending, 2 unknown"
    )


def test_an_overdue_payment_counts_on_the_day_it_was_created() -> None:
    orders(20)
    orders(20, 26 * 60, status="UNKNOWN")
    assert numbers(evaluated("A2"))[PAID] == (100.0, True)
    assert numbers(evaluated("A2", days=7))[PAID] == (50.0, False)


def test_fast_fails_are_optional_evidence() -> None:
    orders(20)
    result = evaluated("A2")
    assert result.verdict == Verdict.PASS
    assert numbers(result)[FAST_FAIL] == (None, None)
    assert measure(result, FAST_FAIL).shown == "not exercised"
    row("circuit_breaker_state", 5, 2, breaker="payments", state="OPEN", transition=True)
    result = evaluated("A2")
    assert result.verdict == Verdict.PASS
    assert measure(result, FAST_FAIL).note == (
        "0 checkouts refused by the breaker, which opened 1 time"
    )


def test_the_p99_of_fast_fails_must_be_below_100_ms() -> None:
    orders(20)
    fast_fails(5, le100=198, le150=1)
    result = evaluated("A2")
    assert result.verdict == Verdict.PASS
    took, met = numbers(result)[FAST_FAIL]
    assert took == pytest.approx(75 + 25 * 0.99 * 199 / 198)
    assert met is True
    fast_fails(6, le150=2)
    result = evaluated("A2")
    assert result.verdict == Verdict.FAIL
    took, met = numbers(result)[FAST_FAIL]
    assert took == pytest.approx(100 + 50 * (0.99 * 201 - 198) / 3)
    assert met is False
    assert measure(result, FAST_FAIL).note.startswith("201 checkouts refused by the breaker")


def test_exactly_100_ms_is_not_fast() -> None:
    orders(1)
    fast_fails(5, le100=99, le150=1)
    assert numbers(evaluated("A2"))[FAST_FAIL] == (100, False)
    assert evaluated("A2").verdict == Verdict.FAIL


def test_fast_fails_alone_are_no_pass_and_slow_ones_are_a_fail() -> None:
    fast_fails(5, le1=100)
    assert evaluated("A2").verdict == Verdict.NO_EVIDENCE
    fast_fails(6, lemore=100)
    assert evaluated("A2").verdict == Verdict.FAIL


# --- P1 ---
@pytest.mark.parametrize(
    ("errors", "quick", "verdict"),
    [
        (5, 95, Verdict.PASS),
        (6, 95, Verdict.FAIL),
        (5, 94, Verdict.FAIL),
    ],
)
def test_throttling_must_not_affect_other_requests(
    errors: int, quick: int, verdict: Verdict
) -> None:
    row("throttled_requests", 4, scope="checkout", user_id=1)
    row("throttled_requests", 3, scope="checkout", user_id=1)
    row("throttled_requests", 2, scope="login", user_id=None)
    answered(10, count=100, errors=errors, le1000=quick)
    answered(70, count=100, errors=100, le1000=0)  # no request was throttled in that hour
    # NOON is 12:00:30, so the rows above belong to the hour before.
    result = evaluated("P1")
    assert result.verdict == verdict
    assert numbers(result)["Throttled requests"] == (3, True)
    assert measure(result, "Throttled requests").note == "checkout 2, login 1"
    assert numbers(result)["Error rate during throttling"] == (float(errors), errors <= 5)
    took, met = numbers(result)["Response time during throttling, p95"]
    assert (took, met) == (1000.0 if quick == 95 else 1250.0, quick == 95)


def test_without_throttling_there_is_no_evidence() -> None:
    answered(10, count=100, errors=0, le1000=100)
    assert evaluated("P1").verdict == Verdict.NO_EVIDENCE


def test_too_few_requests_during_throttling_are_not_evaluated() -> None:
    row("throttled_requests", 2, scope="login")
    answered(2, count=19, errors=19, le1000=0)
    result = evaluated("P1")
    assert result.verdict == Verdict.NO_EVIDENCE
    assert numbers(result)["Error rate during throttling"] == (100.0, None)
    assert "at least 20 needed" in measure(result, "Error rate").note


def test_throttling_without_other_requests_is_no_evidence() -> None:
    row("throttled_requests", 2, scope="login")
    assert evaluated("P1").verdict == Verdict.NO_EVIDENCE


# --- P2 ---
def test_flash_payments_are_settled_within_a_minute() -> None:
    orders(19, kind="flash", settled_after=MINUTE)
    order(20, kind="flash", settled_after=MINUTE + timedelta(microseconds=1))
    orders(50, settled_after=10 * MINUTE)  # cart orders do not count
    result = evaluated("P2")
    assert result.verdict == Verdict.PASS
    assert numbers(result) == {
        IN_TIME: (95.0, True),
        "Longest wait in the job queue, now": (0, True),
    }
    order(20, kind="flash", status="FAILED", settled_after=2 * MINUTE)
    result = evaluated("P2")
    assert result.verdict == Verdict.FAIL
    assert numbers(result)[IN_TIME] == (100 * 19 / 21, False)


def test_a_pending_payment_is_late_after_a_minute() -> None:
    orders(20, 5, kind="flash")
    orders(20, 1 - 20 / 6, kind="flash", status="PENDING")
    assert evaluated("P2").verdict == Verdict.PASS
    orders(20, 1.01, kind="flash", status="PENDING")
    assert numbers(evaluated("P2"))[IN_TIME] == (50.0, False)


def test_too_few_flash_payments_are_not_evaluated() -> None:
    orders(19, 30, kind="flash", status="PENDING")
    result = evaluated("P2")
    assert result.verdict == Verdict.NO_EVIDENCE
    assert numbers(result)[IN_TIME] == (0.0, None)
    assert measure(result, IN_TIME).note.endswith("too few to evaluate: at least 20 needed")
    order(30, kind="flash", status="PENDING")
    assert evaluated("P2").verdict == Verdict.FAIL


def test_only_the_newest_orders_of_the_window_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    orders(20, 25 * 60, kind="flash", settled_after=5 * MINUTE)
    assert evaluated("P2").verdict == Verdict.NO_EVIDENCE
    assert evaluated("P2", days=7).verdict == Verdict.FAIL
    monkeypatch.setattr(evaluators, "NEWEST", 20)
    order(10, kind="flash", settled_after=5 * MINUTE)
    orders(20, 5, kind="flash")
    assert numbers(evaluated("P2", days=7))[IN_TIME] == (100.0, True)


@pytest.mark.parametrize(("seconds", "verdict"), [(295, Verdict.PASS), (305, Verdict.FAIL)])
def test_a_stalled_queue_is_a_fail(seconds: int, verdict: Verdict) -> None:
    orders(20, 5, kind="flash")
    OrmQ.objects.create(key="vitrine", lock=really_now() - timedelta(seconds=seconds))
    assert evaluated("P2").verdict == verdict


# --- all ---
def test_late_rollups_turn_a_pass_into_no_evidence_but_not_a_fail() -> None:
    audited()
    orders(20, 5, kind="flash")
    RollupMark.objects.create(until=ago(6 * 60))
    assert evaluated("A1").verdict == evaluated("A2").verdict == Verdict.PASS
    RollupMark.objects.update(until=ago(6 * 60 + 1))
    assert evaluated("A1").verdict == evaluated("A2").verdict == Verdict.NO_EVIDENCE
    assert numbers(evaluated("A2"))["Rollups"] == (None, None)
    orders(2, 4, status="FAILED")
    assert evaluated("A2").verdict == Verdict.FAIL


def test_every_kind_of_row_that_an_evaluator_reads_is_fetched() -> None:
    # A kind that is not fetched would look like a shop without traffic.
    audited()
    order(5, kind="flash")
    row("stock_conflicts", 4)
    row("throttled_requests", 4, scope="login")
    answered(4, count=20, errors=9, le1000=0)
    fast_fails(4, lemore=1)
    results = {scenario.id: numbers(result) for scenario, result in evaluations(1, NOON).items()}
    assert [scenario.id for scenario in EVALUATED] == list(results)
    not_met = {
        scenario: [name for name, (_, met) in measures.items() if met is False]
        for scenario, measures in results.items()
        if scenario in {"A1", "A2", "P1", "P2"}
    }
    assert not_met == {
        "A1": ["Stock conflicts"],
        "A2": [FAST_FAIL],
        "P1": ["Error rate during throttling", "Response time during throttling, p95"],
        "P2": [],
    }


def test_a_fast_fail_of_exactly_100_ms_is_too_slow() -> None:
    orders(1)
    fast_fails(5, le100=99, lemore=1)
    result = evaluated("A2")
    assert numbers(result)[FAST_FAIL] == (100.0, False)
    assert result.verdict == Verdict.FAIL


def test_an_overdue_payment_counts_from_the_windows_first_minute() -> None:
    orders(20)
    first = 23 * 60 + 0.5  # start of the window, in minutes before noon
    orders(20, first - 20 / 6 + 1 / 6, status="UNKNOWN")
    order(first + 1 / 60, status="UNKNOWN")
    assert numbers(evaluated("A2"))[PAID] == (50.0, False)


@pytest.mark.parametrize(("seconds", "verdict"), [(300.0, Verdict.PASS), (300.1, Verdict.FAIL)])
def test_a_job_may_wait_five_minutes(
    monkeypatch: pytest.MonkeyPatch, seconds: float, verdict: Verdict
) -> None:
    orders(20, 5, kind="flash")
    queue = {catalogue.JOBS_OLDEST_WAITING: {(): seconds}}
    monkeypatch.setattr(evaluators, "read_queue", lambda: queue)
    assert evaluated("P2").verdict == verdict


@pytest.mark.parametrize(("errors", "le1000"), [(5_040, 100_000), (0, 94_998)])
def test_a_little_more_than_may_be_fails_the_others_too(errors: int, le1000: int) -> None:
    row("throttled_requests", 2, scope="login")
    answered(2, count=100_000, errors=errors, le1000=le1000)
    assert evaluated("P1").verdict == Verdict.FAIL

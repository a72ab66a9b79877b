"""Verdicts on known orders, payments and rows, on both sides of each threshold."""

from datetime import timedelta

import pytest
from django_q.models import OrmQ

from quality import evaluators
from quality.catalogue import JUDGED
from quality.scenario import Verdict
from quality.selectors import judged
from retail.history.rollups import roll_up
from retail.models import Metric, RollupMark
from retail.observability.prometheus import catalogue
from tests.quality.support import (
    MINUTE,
    NOON,
    ago,
    answered,
    audited,
    fast_fails,
    measure,
    numbers,
    order,
    orders,
    really_now,
    row,
    verdict,
)
from tests.support import make_product

pytestmark = pytest.mark.django_db
PAID = "Payments completed"
REFUSED_AT_ONCE = "Fast-fail, p99"
IN_TIME = "Flash orders paid or refused within 60 s"


@pytest.mark.parametrize("days", [1, 7, 30])
def test_without_traffic_there_is_no_evidence_and_never_a_pass(days: int) -> None:
    audited()
    found = judged(days, NOON)
    assert tuple(found) == JUDGED
    assert {judgement.verdict for judgement in found.values()} == {Verdict.NO_EVIDENCE}


# --- A1 ---
def test_a_flash_sale_without_conflict_or_oversold_unit_passes() -> None:
    audited()
    order(kind="flash")
    found = verdict("A1")
    assert found.verdict == Verdict.PASS
    assert numbers(found) == {
        "Stock conflicts": (0, True),
        "Oversold units": (0, True),
        "Checkouts that compete": (1, True),
    }


def test_one_conflict_fails_it_also_without_a_flash_sale() -> None:
    audited()
    row("stock_conflicts", 5)
    found = verdict("A1")
    assert found.verdict == Verdict.FAIL
    assert numbers(found)["Stock conflicts"] == (1, False)
    order(kind="flash")
    assert verdict("A1").verdict == Verdict.FAIL


def test_one_oversold_unit_fails_it() -> None:
    order(kind="flash")
    lamp = make_product(stock=3)
    lamp.movements.create(quantity=-4, reason="sale")
    audited()
    found = verdict("A1")
    assert found.verdict == Verdict.FAIL
    assert numbers(found)["Oversold units"] == (1, False)


def test_a_ledger_that_nobody_audited_is_no_evidence() -> None:
    order(kind="flash")
    found = verdict("A1")
    assert found.verdict == Verdict.NO_EVIDENCE
    assert numbers(found)["Oversold units"] == (None, None)


def test_orders_that_do_not_compete_prove_nothing_but_two_at_once_do() -> None:
    audited()
    orders(3)
    assert verdict("A1").verdict == Verdict.NO_EVIDENCE
    order(60 + 1 / 60)  # a second before the first
    found = verdict("A1")
    assert found.verdict == Verdict.PASS
    assert measure(found, "Checkouts").note == "0 of flash sales, 1 within a second of another"


def test_a_flash_order_competes_whatever_came_of_its_payment() -> None:
    audited()
    order(kind="flash", status="PENDING")
    assert verdict("A1").verdict == Verdict.PASS


def test_the_window_begins_and_ends_where_it_says() -> None:
    audited()
    order(kind="flash")
    before = 23 * 60 + 0.5  # the hour, 24 of them back, in which noon's window begins
    row("stock_conflicts", before + 0.1)
    row("stock_conflicts", -0.1)
    roll_up(NOON)
    assert verdict("A1").verdict == Verdict.PASS
    assert verdict("A1", days=7).verdict == Verdict.FAIL
    row("stock_conflicts", before)
    RollupMark.objects.all().delete()
    Metric.objects.filter(timestamp__gt=NOON).delete()
    roll_up(NOON)
    assert numbers(verdict("A1"))["Stock conflicts"] == (1, False)


# --- A2 ---
@pytest.mark.parametrize(
    ("completed", "failed", "percent", "word"),
    [
        (19, 1, 95.0, Verdict.PASS),
        (18, 1, 100 * 18 / 19, Verdict.FAIL),
        (57, 3, 95.0, Verdict.PASS),
        (1, 0, 100.0, Verdict.PASS),
        (0, 1, 0.0, Verdict.FAIL),
    ],
)
def test_a2_is_about_95_of_100_payments(
    completed: int, failed: int, percent: float, word: Verdict
) -> None:
    orders(completed)
    orders(failed, status="FAILED")
    found = verdict("A2")
    assert found.verdict == word
    assert numbers(found)[PAID] == (percent, word == Verdict.PASS)


@pytest.mark.parametrize("status", ["UNKNOWN", "PENDING"])
def test_an_answer_that_never_came_counts_as_failed_after_15_minutes(status: str) -> None:
    orders(18, minutes=30)
    order(15, status="UNKNOWN")
    order(15, status="PENDING")
    order(0.4, status="PENDING")
    found = verdict("A2")
    assert found.verdict == Verdict.PASS
    assert numbers(found)[PAID] == (100.0, True)
    assert measure(found, PAID).note == (
        "18 of 18, without an answer for too long: 0; not counted: 1 pending, 2 unknown"
    )
    order(15 + 1 / 60, status=status)
    found = verdict("A2")
    assert found.verdict == Verdict.FAIL
    assert numbers(found)[PAID] == (100 * 18 / 19, False)
    assert measure(found, PAID).note == (
        "18 of 19, without an answer for too long: 1; not counted: 1 pending, 2 unknown"
    )


def test_an_old_order_without_an_answer_belongs_to_its_own_day() -> None:
    orders(1)
    order(26 * 60, status="UNKNOWN")
    assert numbers(verdict("A2"))[PAID] == (100.0, True)
    assert numbers(verdict("A2", days=7))[PAID] == (50.0, False)


def test_a_breaker_that_never_refused_anybody_does_not_block() -> None:
    orders(1)
    found = verdict("A2")
    assert found.verdict == Verdict.PASS
    assert numbers(found)[REFUSED_AT_ONCE] == (None, None)
    assert measure(found, REFUSED_AT_ONCE).shown == "not exercised"
    row("circuit_breaker_state", 5, 2, breaker="payments", state="OPEN", transition=True)
    found = verdict("A2")
    assert found.verdict == Verdict.PASS
    told = "refused by the open breaker: 0; opened 1 times"
    assert measure(found, REFUSED_AT_ONCE).note == told


def test_fast_is_below_100_ms_for_99_of_100() -> None:
    orders(1)
    fast_fails(5, le100=198, le150=1)
    found = verdict("A2")
    assert found.verdict == Verdict.PASS
    took, kept = numbers(found)[REFUSED_AT_ONCE]
    assert took == pytest.approx(75 + 25 * 0.99 * 199 / 198)
    assert kept is True
    fast_fails(6, le150=2)
    found = verdict("A2")
    assert found.verdict == Verdict.FAIL
    took, kept = numbers(found)[REFUSED_AT_ONCE]
    assert took == pytest.approx(100 + 50 * (0.99 * 201 - 198) / 3)
    assert kept is False
    assert measure(found, REFUSED_AT_ONCE).note.startswith("refused by the open breaker: 201;")


def test_exactly_100_ms_is_not_fast() -> None:
    orders(1)
    fast_fails(5, le100=99, le150=1)
    assert numbers(verdict("A2"))[REFUSED_AT_ONCE] == (100, False)
    assert verdict("A2").verdict == Verdict.FAIL


def test_refusing_quickly_alone_is_no_pass_and_slowly_alone_is_a_fail() -> None:
    fast_fails(5, le1=100)
    assert verdict("A2").verdict == Verdict.NO_EVIDENCE
    fast_fails(6, lemore=100)
    assert verdict("A2").verdict == Verdict.FAIL


# --- P1 ---
@pytest.mark.parametrize(
    ("errors", "quick", "word"),
    [
        (5, 95, Verdict.PASS),
        (6, 95, Verdict.FAIL),
        (5, 94, Verdict.FAIL),
    ],
)
def test_refusing_some_must_not_harm_the_others(errors: int, quick: int, word: Verdict) -> None:
    row("throttled_requests", 4, scope="checkout", user_id=1)
    row("throttled_requests", 3, scope="checkout", user_id=1)
    row("throttled_requests", 2, scope="login", user_id=None)
    answered(10, count=100, errors=errors, le1000=quick)
    answered(70, count=100, errors=100, le1000=0)  # nobody was refused in that hour
    # Noon is 30 seconds old: the rows above are of the hour before.
    found = verdict("P1")
    assert found.verdict == word
    assert numbers(found)["Requests refused"] == (3, True)
    assert measure(found, "Requests refused").note == "checkout 2, login 1"
    assert numbers(found)["Error rate at the same time"] == (float(errors), errors <= 5)
    took, kept = numbers(found)["Response time at the same time, p95"]
    assert (took, kept) == (1000.0 if quick == 95 else 1250.0, quick == 95)


def test_when_nobody_was_refused_the_others_prove_nothing() -> None:
    answered(10, count=100, errors=0, le1000=100)
    assert verdict("P1").verdict == Verdict.NO_EVIDENCE


def test_a_refusal_beside_which_nobody_was_answered_proves_nothing() -> None:
    row("throttled_requests", 2, scope="login")
    assert verdict("P1").verdict == Verdict.NO_EVIDENCE


# --- P2 ---
def test_flash_orders_are_paid_within_a_minute() -> None:
    orders(19, kind="flash", settled_after=MINUTE)
    order(20, kind="flash", settled_after=MINUTE + timedelta(microseconds=1))
    orders(50, settled_after=10 * MINUTE)  # of the cart: the buyer waited for the answer
    found = verdict("P2")
    assert found.verdict == Verdict.PASS
    assert numbers(found) == {IN_TIME: (95.0, True), "Oldest waiting job, now": (0, True)}
    order(20, kind="flash", status="FAILED", settled_after=2 * MINUTE)
    found = verdict("P2")
    assert found.verdict == Verdict.FAIL
    assert numbers(found)[IN_TIME] == (100 * 19 / 21, False)


def test_one_that_is_not_paid_yet_is_late_after_a_minute_and_not_before() -> None:
    order(5, kind="flash")
    order(1, kind="flash", status="PENDING")
    assert verdict("P2").verdict == Verdict.PASS
    order(1.01, kind="flash", status="PENDING")
    assert numbers(verdict("P2"))[IN_TIME] == (50.0, False)


def test_only_the_windows_newest_orders_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    order(25 * 60, kind="flash", settled_after=5 * MINUTE)
    assert verdict("P2").verdict == Verdict.NO_EVIDENCE
    assert verdict("P2", days=7).verdict == Verdict.FAIL
    monkeypatch.setattr(evaluators, "NEWEST", 2)
    order(10, kind="flash", settled_after=5 * MINUTE)
    order(9, kind="flash")
    order(8, kind="flash")
    assert numbers(verdict("P2", days=7))[IN_TIME] == (100.0, True)


@pytest.mark.parametrize(("seconds", "word"), [(295, Verdict.PASS), (305, Verdict.FAIL)])
def test_a_queue_that_stands_still_fails_it(seconds: int, word: Verdict) -> None:
    order(5, kind="flash")
    OrmQ.objects.create(key="vitrine", lock=really_now() - timedelta(seconds=seconds))
    assert verdict("P2").verdict == word


# --- all ---
def test_while_the_worker_is_late_a_pass_is_no_evidence_and_a_fail_stays_one() -> None:
    audited()
    order(5, kind="flash")
    RollupMark.objects.create(until=ago(6 * 60))
    assert verdict("A1").verdict == verdict("A2").verdict == Verdict.PASS
    RollupMark.objects.update(until=ago(6 * 60 + 1))
    assert verdict("A1").verdict == verdict("A2").verdict == Verdict.NO_EVIDENCE
    assert numbers(verdict("A2"))["Added up by the worker"] == (None, None)
    order(4, status="FAILED")
    assert verdict("A2").verdict == Verdict.FAIL


def test_every_kind_of_row_that_a_judge_reads_is_asked_for() -> None:
    # A kind that is not among them would look like a shop in which nothing happens.
    audited()
    order(5, kind="flash")
    row("stock_conflicts", 4)
    row("throttled_requests", 4, scope="login")
    answered(4, count=10, errors=9, le1000=0)
    fast_fails(4, lemore=1)
    found = {one.id: numbers(judgement) for one, judgement in judged(1, NOON).items()}
    assert [one.id for one in JUDGED] == list(found)
    broken = {
        scenario: [name for name, (_, kept) in found[scenario].items() if kept is False]
        for scenario in ("A1", "A2", "P1", "P2")
    }
    assert broken == {
        "A1": ["Stock conflicts"],
        "A2": [REFUSED_AT_ONCE],
        "P1": ["Error rate at the same time", "Response time at the same time, p95"],
        "P2": [],
    }


def test_a_fast_fail_of_exactly_100_ms_is_too_slow() -> None:
    orders(1)
    fast_fails(5, le100=99, lemore=1)
    found = verdict("A2")
    assert numbers(found)[REFUSED_AT_ONCE] == (100.0, False)
    assert found.verdict == Verdict.FAIL


def test_a_lost_payment_of_the_windows_first_minute_counts_and_one_before_does_not() -> None:
    orders(1)
    first = 23 * 60 + 0.5  # in minutes before noon; see the test of the window above
    order(first, status="UNKNOWN")
    order(first + 1 / 60, status="UNKNOWN")
    assert numbers(verdict("A2"))[PAID] == (50.0, False)


@pytest.mark.parametrize(("seconds", "word"), [(300.0, Verdict.PASS), (300.1, Verdict.FAIL)])
def test_a_job_may_wait_five_minutes_and_no_longer(
    monkeypatch: pytest.MonkeyPatch, seconds: float, word: Verdict
) -> None:
    order(5, kind="flash")
    queue = {catalogue.JOBS_OLDEST_WAITING: {(): seconds}}
    monkeypatch.setattr(evaluators, "read_queue", lambda: queue)
    assert verdict("P2").verdict == word

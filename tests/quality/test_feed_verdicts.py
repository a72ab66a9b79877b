"""Verdicts of the scenarios of partner feeds, from records of files."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from partner_feeds.models import AppliedChange, Ingestion, Partner, RejectedRow
from products.models import StockMovement
from quality import feed_evaluators
from quality.scenario import Verdict
from tests.partner_feeds.taking_in import make_partner
from tests.quality.support import MINUTE, ago, answered, evaluated, measure, numbers
from tests.support import make_product

if TYPE_CHECKING:
    from quality.scenario import Evaluation

pytestmark = pytest.mark.django_db
APPLIED, LOST, REASONS = (
    "Files applied",
    "Rows not accounted for",
    "Rejected rows without a reason",
)
SAME, BY_THEM = "Files with nothing new", "Changes and stock movements by them"
TIME = "Response time while files are taken in, p95"


@pytest.fixture
def partner() -> Partner:
    return make_partner()


def file(partner: Partner, minutes: float = 60, status: str = "DONE", **fields: int) -> Ingestion:
    """Create a file that was taken in for a minute, and ended so many minutes before noon."""
    return Ingestion.objects.create(
        partner=partner,
        status=status,
        created_at=ago(minutes) - MINUTE,
        finished_at=ago(minutes),
        **fields,
    )


def reject(ingestion: Ingestion, rows: int) -> None:
    RejectedRow.objects.bulk_create(
        RejectedRow(ingestion=ingestion, line=number, code="price", sentence="No price.")
        for number in range(rows)
    )


def i1(lost: float | None, reasons: float | None = None) -> dict[str, tuple[float | None, object]]:
    return {
        LOST: (lost, None if lost is None else not lost),
        REASONS: (reasons, None if reasons is None else not reasons),
    }


def without(evaluation: Evaluation, name: str) -> dict[str, tuple[float | None, bool | None]]:
    return {key: value for key, value in numbers(evaluation).items() if key != name}


# --- I1 ---
def test_every_row_of_a_file_is_accounted_for(partner: Partner) -> None:
    reject(file(partner, rows=10, created=2, updated=3, unchanged=4, rejected=1), 1)
    file(partner, rows=2, unchanged=2, updated=1, absent=1)
    result = evaluated("I1")
    assert result.verdict == Verdict.PASS
    assert numbers(result) == {APPLIED: (2, True), **i1(0, 0)}
    assert measure(result, REASONS).note == "of 1 file with rejected rows"


@pytest.mark.parametrize("off", [-1, 1])
def test_a_row_that_is_not_accounted_for_is_a_fail(partner: Partner, off: int) -> None:
    file(partner, rows=10, created=10)
    wrong = file(partner, rows=10, created=10 - off)
    result = evaluated("I1")
    assert result.verdict == Verdict.FAIL
    assert without(result, APPLIED) == i1(1)
    assert measure(result, LOST).note == f"in {wrong.reference}"


def test_two_errors_do_not_cancel_each_other_out(partner: Partner) -> None:
    for created in (9, 11):
        file(partner, rows=10, created=created)
    assert numbers(evaluated("I1"))[LOST] == (2, False)


def test_a_rejected_row_without_its_reason_is_a_fail(partner: Partner) -> None:
    wrong = file(partner, rows=10, created=8, rejected=2)
    reject(wrong, 1)
    result = evaluated("I1")
    assert result.verdict == Verdict.FAIL
    assert without(result, APPLIED) == i1(0, 1)
    assert measure(result, REASONS).note == f"in {wrong.reference}"


def test_without_an_applied_file_there_is_no_evidence(partner: Partner) -> None:
    first = file(partner, 25 * 60, rows=1)  # before the window
    for status in ("FAILED", "DISCARDED", "UNCHANGED"):
        file(partner, status=status, rows=1)
    file(partner, rows=1, takes_back_id=first.pk)
    result = evaluated("I1")
    assert result.verdict == Verdict.NO_EVIDENCE
    assert numbers(result) == {APPLIED: (0, None), **i1(None)}


def test_only_the_newest_files_are_read(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    file(partner, rows=1)
    file(partner, rows=1, created=1)
    assert evaluated("I1").verdict == Verdict.FAIL
    monkeypatch.setattr(feed_evaluators, "NEWEST", 1)
    assert evaluated("I1").verdict == Verdict.PASS


# --- I2 ---
def test_a_file_with_nothing_new_changes_nothing(partner: Partner) -> None:
    file(partner, status="UNCHANGED")
    file(partner, rows=5, unchanged=4, rejected=1)
    changed = file(partner, rows=5, updated=1, unchanged=4)
    StockMovement.objects.create(
        product=make_product(), quantity=1, reason="feed", reference=changed.reference
    )
    result = evaluated("I2")
    assert result.verdict == Verdict.PASS
    assert numbers(result) == {SAME: (2, True), BY_THEM: (0, True), TIME: (None, None)}


def test_a_stock_movement_by_it_is_a_fail(partner: Partner) -> None:
    again = file(partner, status="UNCHANGED")
    StockMovement.objects.create(
        product=make_product(), quantity=1, reason="feed", reference=again.reference
    )
    result = evaluated("I2")
    assert result.verdict == Verdict.FAIL
    assert numbers(result)[BY_THEM] == (1, False)
    assert measure(result, BY_THEM).note == f"in {again.reference}"


def test_a_change_of_a_product_by_it_is_a_fail(partner: Partner) -> None:
    again = file(partner, rows=1, unchanged=1)
    AppliedChange.objects.create(ingestion=again, product=make_product())
    result = evaluated("I2")
    assert result.verdict == Verdict.FAIL
    assert numbers(result)[BY_THEM] == (1, False)


def test_without_a_file_with_nothing_new_there_is_no_evidence(partner: Partner) -> None:
    first = file(partner, rows=5, created=5)
    file(partner, rows=5, takes_back_id=first.pk)
    file(partner, 25 * 60, status="UNCHANGED")
    result = evaluated("I2")
    assert result.verdict == Verdict.NO_EVIDENCE
    assert numbers(result) == {SAME: (0, None), BY_THEM: (None, None), TIME: (None, None)}


@pytest.mark.parametrize(("quick", "verdict"), [(95, Verdict.PASS), (94, Verdict.FAIL)])
def test_requests_must_be_fast_while_files_are_taken_in(
    partner: Partner, quick: int, verdict: Verdict
) -> None:
    file(partner, 10, status="UNCHANGED")
    file(partner, 10, rows=5, created=5)
    answered(10, count=100, errors=0, le1000=quick)
    answered(130, count=100, errors=0, le1000=0)  # no file in that hour
    result = evaluated("I2")
    assert result.verdict == verdict
    assert numbers(result)[TIME] == (1000.0 if quick == 95 else 1250.0, quick == 95)


def test_a_file_that_takes_hours_covers_them(partner: Partner) -> None:
    file(partner, 10, status="UNCHANGED")
    long = file(partner, 10, rows=5, created=5)
    Ingestion.objects.filter(pk=long.pk).update(created_at=ago(10) - timedelta(hours=3))
    answered(130, count=100, errors=0, le1000=0)
    assert evaluated("I2").verdict == Verdict.FAIL


def test_a_few_requests_are_not_evaluated(partner: Partner) -> None:
    file(partner, 10, status="UNCHANGED")
    file(partner, 10, rows=5, created=5)
    answered(10, count=19, errors=0, le1000=0)
    result = evaluated("I2")
    assert result.verdict == Verdict.PASS
    assert measure(result, TIME).note == "too few to evaluate: at least 20 needed"

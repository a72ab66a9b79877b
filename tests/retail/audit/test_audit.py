"""The audit itself: what becomes of what a look finds, whoever looks, fails or is slow."""

from __future__ import annotations

import logging
from datetime import timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from retail import tasks
from retail.audit import declare, results, runner
from retail.audit.declare import Checkpoint, NotCheckedError, Part, Violation, invariant
from retail.models import AuditCheck, AuditViolation
from retail.observability.prometheus import catalogue
from tests.support import moved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import DjangoAssertNumQueries

    from tests.retail.conftest import Lines

pytestmark = pytest.mark.django_db

FIRST, SECOND, THIRD = "ledger_equals_stock", "sold_within_offered", "pending_within_deadline"


class Rows:
    """Rows 1 to `size`, some of them bad, looked at two at a time."""

    def __init__(self, size: int = 6) -> None:
        self.size = size
        self.bad: dict[int, str] = {}
        self.begun: list[int] = []
        self.seconds_each = 0.0

    def look(self, checkpoint: Checkpoint) -> Iterator[Part]:
        begin = checkpoint.get("done", 0)
        self.begun.append(begin)
        for first in range(begin + 1, self.size + 1, 2):
            chunk = range(first, min(first + 2, self.size + 1))
            yield Part(len(chunk), self.found(chunk), {"done": chunk[-1]})

    def found(self, chunk: Any) -> list[Violation]:
        return [Violation(str(one), self.bad[one]) for one in chunk if one in self.bad]

    def again(self, subjects: list[str]) -> list[Violation]:
        return self.found([int(subject) for subject in subjects])


@pytest.fixture(autouse=True)
def _own_declarations() -> Iterator[None]:
    saved = dict(declare.declared)
    declare.declared.clear()
    yield
    declare.declared.clear()
    declare.declared.update(saved)


@pytest.fixture
def rows() -> Rows:
    made = Rows()
    invariant(FIRST, recheck=made.again)(made.look)
    return made


def kept() -> list[tuple[str, str, bool]]:
    """Return subject, detail and whether it is open, of every violation stored."""
    found = AuditViolation.objects.order_by("pk")
    return [(row.subject, row.detail, row.resolved_at is None) for row in found]


def check(name: str = FIRST) -> AuditCheck:
    return AuditCheck.objects.get(pk=name)


def test_a_look_begins_where_the_last_one_got_to_and_a_full_one_at_the_beginning(
    rows: Rows,
) -> None:
    (report,) = runner.audit()
    assert (report.invariant, report.checked, report.subjects) == (FIRST, 6, ())
    assert check().checkpoint == {"done": 6}
    rows.size = 7
    (report,) = runner.audit()
    assert report.checked == 1
    (report,) = runner.audit(full=True)
    assert report.checked == 7
    assert rows.begun == [0, 6, 0]
    assert (check().checkpoint, check().version) == ({"done": 7}, 3)


def test_what_is_found_is_stored_logged_once_and_resolved_when_it_is_mended(
    rows: Rows, lines: Lines
) -> None:
    rows.bad = {2: "two", 5: "five"}
    (report,) = runner.audit()
    assert report.subjects == ("2", "5")
    assert kept() == [("2", "two", True), ("5", "five", True)]
    assert check().violations == 2
    (line,) = lines()
    assert (line["level"], line["message"]) == ("ERROR", "event=audit.violated")
    assert line["extra"] == {"invariant": FIRST, "count": 2, "subjects": ["2", "5"]}

    rows.bad = {2: "two", 5: "five and more"}
    runner.audit()
    assert kept() == [("2", "two", True), ("5", "five and more", True)]

    rows.bad = {5: "five and more"}
    (report,) = runner.audit()
    assert report.subjects == ("5",)
    assert kept() == [("2", "two", False), ("5", "five and more", True)]
    assert len(lines()) == 1

    rows.bad = {2: "two again"}
    runner.audit(full=True)
    assert kept() == [("2", "two", False), ("5", "five and more", False), ("2", "two again", True)]
    assert [line["extra"]["subjects"] for line in lines()] == [["2", "5"], ["2"]]


def test_without_another_way_only_a_whole_look_says_what_is_resolved() -> None:
    rows = Rows()
    invariant(FIRST)(lambda _checkpoint: rows.look({}))
    rows.bad = {1: "one"}
    runner.audit()
    rows.bad = {}
    runner._scan_and_store(declare.declared[FIRST], seconds=1e-9)  # ends after the first part
    assert kept() == [("1", "one", True)]
    runner.audit()
    assert kept() == [("1", "one", False)]


def test_the_log_names_a_hundred_at_most(rows: Rows, lines: Lines) -> None:
    rows.size = 150
    rows.bad = dict.fromkeys(range(1, 151), "bad")
    runner.audit()
    (line,) = lines()
    assert line["extra"]["count"] == 150
    assert line["extra"]["subjects"] == sorted(str(number) for number in rows.bad)[:100]


def test_a_look_that_finds_more_than_anybody_reads_goes_no_further(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "MOST_OPEN", 3)
    rows.bad = dict.fromkeys(range(1, 7), "bad")
    (report,) = runner.audit()
    assert report.subjects == ("1", "2", "3", "4")
    assert check().checked_at is not None
    assert check().checkpoint == {"done": 4}
    rows.bad = {5: "bad"}
    (report,) = runner.audit()
    assert report.subjects == ("5",)


def test_one_that_fails_or_is_not_answered_does_not_stop_the_others(
    rows: Rows, lines: Lines
) -> None:
    @invariant(SECOND)
    def fails(_checkpoint: Checkpoint) -> Iterator[Part]:
        yield Part(1, [Violation("x", "lost with its look")], {"done": 1})
        raise LookupError("no such table")

    @invariant(THIRD)
    def unanswered(_checkpoint: Checkpoint) -> Iterator[Part]:
        raise NotCheckedError("the gateway does not answer")
        yield

    with moved() as changes:
        reports = runner.audit()
    assert changes == {'retail_telemetry_errors_total{sink="audit"}': 1}
    assert [(one.invariant, one.checked, one.problem) for one in reports] == [
        (FIRST, 6, ""),
        (THIRD, 0, "the gateway does not answer"),
        (SECOND, 0, "failed: LookupError"),
    ]
    told = {line["message"]: line for line in lines()}
    assert sorted(told) == ["event=audit.failed", "event=audit.not_checked"]
    assert told["event=audit.failed"]["level"] == "ERROR"
    assert told["event=audit.failed"]["extra"]["invariant"] == SECOND
    assert told["event=audit.not_checked"]["level"] == "WARNING"
    assert told["event=audit.not_checked"]["extra"] == {
        "invariants": [THIRD],
        "reason": "the gateway does not answer",
    }
    assert check().checked_at is not None
    assert check(SECOND).checked_at is check(THIRD).checked_at is None
    assert kept() == []


def test_a_result_that_another_audit_overtook_is_dropped(rows: Rows) -> None:
    rows.bad = {1: "one"}
    one = declare.declared[FIRST]

    def overtaken(checkpoint: Checkpoint) -> Iterator[Part]:
        parts = list(rows.look(checkpoint))
        rows.bad = {}  # mended meanwhile, and another audit passes from beginning to end
        runner._scan_and_store(one)
        yield from parts

    runner._scan_and_store(declare.Invariant(FIRST, overtaken, rows.again))
    assert kept() == []
    assert (check().version, check().checkpoint) == (1, {"done": 6})


def test_two_audits_that_find_the_same_store_it_once(rows: Rows) -> None:
    rows.bad = {1: "one"}
    one = declare.declared[FIRST]

    def overtaken(checkpoint: Checkpoint) -> Iterator[Part]:
        runner._scan_and_store(one)
        yield from rows.look(checkpoint)

    runner._scan_and_store(declare.Invariant(FIRST, overtaken, rows.again))
    assert kept() == [("1", "one", True)]


def test_the_job_looks_at_what_is_new_each_minute_and_at_everything_once_a_day(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = timezone.now()
    assert tasks.run_audit() == 0
    assert rows.begun == [0, 0]
    rows.bad = {2: "an old row that somebody changed"}
    for minutes, begun in ((1, [6]), (60 * 24 - 1, [6]), (60 * 24 + 1, [6, 0])):
        rows.begun.clear()
        now = start + timedelta(minutes=minutes)
        monkeypatch.setattr(timezone, "now", lambda now=now: now)
        found = tasks.run_audit()
        assert rows.begun == begun
    assert found == 1
    assert kept() == [("2", "an old row that somebody changed", True)]
    assert check().full_checked_at == now


def test_a_full_look_that_takes_too_long_goes_on_where_it_stopped(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SCAN_SECONDS", 1e-9)
    seen = []
    for _ in range(4):
        tasks.run_audit()
        one = check()
        full = (one.full_checkpoint or {}).get("done")
        seen.append((one.checkpoint["done"], one.checked_at is None, full))
        assert (one.full_checked_at is None) is (full is not None)
    # Each run moves the look at what is new by a part, and the full look by another; whether there
    # is more to come after a part is known only when it is asked for.
    assert seen == [(2, True, 2), (4, True, 4), (6, True, 6), (6, False, None)]


def test_a_look_that_cannot_get_further_is_given_the_time_it_takes(rows: Rows) -> None:
    def held(checkpoint: Checkpoint) -> Iterator[Part]:
        for part in rows.look({}):
            yield Part(part.checked, part.violations, checkpoint)

    report = runner._scan_and_store(declare.Invariant(FIRST, held, rows.again), seconds=1e-9)
    assert report.checked == 6
    assert check().checked_at is not None


def test_open_violations_are_gauges_and_absent_when_nobody_has_looked_lately(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    invariant(SECOND)(
        lambda _checkpoint: iter(
            [Part(1, [Violation("7", "3 more", 3), Violation("8", "", 4)], {})]
        )
    )
    assert results.read_audit() == {
        catalogue.OVERSOLD_UNITS: {},
        catalogue.INVARIANT_VIOLATIONS: {},
    }
    rows.bad = {1: "one", 2: "two"}
    runner.audit()
    rows.bad = {2: "two"}
    runner.audit([FIRST])
    assert results.read_audit() == {
        catalogue.OVERSOLD_UNITS: {(): 7},
        catalogue.INVARIANT_VIOLATIONS: {(FIRST,): 1, (SECOND,): 2},
    }
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(minutes=9, seconds=59))
    runner.audit([FIRST])
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(minutes=10, seconds=1))
    assert results.read_audit() == {
        catalogue.OVERSOLD_UNITS: {},
        catalogue.INVARIANT_VIOLATIONS: {(FIRST,): 1},
    }


def test_a_scrape_reads_the_audit_in_two_queries(
    rows: Rows, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    runner.audit()
    around = 3 if connection.vendor == "postgresql" else 0  # savepoint, time limit, release
    with django_assert_num_queries(2 + around):
        results.read_audit()


def run(*arguments: str) -> tuple[int, list[list[str]]]:
    """Run the command; return its exit status and the words of its table."""
    out = StringIO()
    status = 0
    try:
        call_command("audit", *arguments, stdout=out)
    except SystemExit as ended:
        status = int(str(ended.code))
    return status, [line.split() for line in out.getvalue().splitlines()]


def test_the_command_prints_what_it_saw_and_says_by_its_status_how_it_is(rows: Rows) -> None:
    status, table = run()
    assert status == 0
    assert table[0] == ["invariant", "checked", "violations", "seconds"]
    assert table[1][:3] == [FIRST, "6", "0"]
    assert float(table[1][3]) >= 0
    rows.bad = dict.fromkeys(range(1, 13), "bad")
    rows.size = 12
    status, table = run("--full", "--invariant", FIRST)
    assert status == 1
    assert table[1][:3] == [FIRST, "12", "12"]
    assert " ".join(table[1][4:]) == "1, 10, 11, 12, 2, 3, 4, 5, 6, 7, and 2 more"
    assert rows.begun == [0, 0]


def test_the_command_has_a_status_for_what_could_not_be_checked(rows: Rows) -> None:
    @invariant(THIRD)
    def unanswered(_checkpoint: Checkpoint) -> Iterator[Part]:
        raise NotCheckedError("the gateway does not answer")
        yield

    status, table = run()
    assert status == 2
    assert table[2] == [
        THIRD,
        *["-", "-", "-", "not", "checked:", "the", "gateway", "does", "not", "answer"],
    ]
    rows.bad = {1: "one"}
    assert run("--full")[0] == 1


def test_the_audit_says_nothing_when_all_is_well(
    rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "retail.audit"):
        runner.audit()
    assert caplog.records == []

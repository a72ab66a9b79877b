"""The audit runner: checkpoints, stored violations, failures, time limits, concurrency."""

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
    """Rows 1 to `size`, some of them bad, scanned two at a time."""

    def __init__(self, size: int = 6) -> None:
        self.size = size
        self.bad: dict[int, str] = {}
        self.begun: list[int] = []
        self.seconds_each = 0.0

    def scan(self, checkpoint: Checkpoint) -> Iterator[Part]:
        begin = checkpoint.get("done", 0)
        self.begun.append(begin)
        for first in range(begin + 1, self.size + 1, 2):
            chunk = range(first, min(first + 2, self.size + 1))
            yield Part(len(chunk), self.violations(chunk), {"done": chunk[-1]})

    def violations(self, chunk: Any) -> list[Violation]:
        return [Violation(str(row), self.bad[row]) for row in chunk if row in self.bad]

    def recheck(self, subjects: list[str]) -> list[Violation]:
        return self.violations([int(subject) for subject in subjects])


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
    invariant(FIRST, recheck=made.recheck)(made.scan)
    return made


def stored() -> list[tuple[str, str, bool]]:
    """Return subject, detail and whether it is open, of every violation stored."""
    rows = AuditViolation.objects.order_by("pk")
    return [(row.subject, row.detail, row.resolved_at is None) for row in rows]


def check(name: str = FIRST) -> AuditCheck:
    return AuditCheck.objects.get(pk=name)


def test_a_scan_starts_at_the_checkpoint_and_a_full_one_at_the_beginning(
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
    assert rows.begun == [0, 0, 6, 0]  # the first full scan is due at once, the next in a day
    assert (check().checkpoint, check().version) == ({"done": 7}, 4)


def test_violations_are_stored_logged_once_and_resolved_when_fixed(
    rows: Rows, lines: Lines
) -> None:
    rows.bad = {2: "two", 5: "five"}
    (report,) = runner.audit()
    assert report.subjects == ("2", "5")
    assert stored() == [("2", "two", True), ("5", "five", True)]
    assert check().violations == 2
    (line,) = lines()
    assert (line["level"], line["message"]) == ("ERROR", "event=audit.violated")
    assert line["extra"] == {"invariant": FIRST, "count": 2, "subjects": ["2", "5"]}

    rows.bad = {2: "two", 5: "five and more"}
    runner.audit()
    assert stored() == [("2", "two", True), ("5", "five and more", True)]

    rows.bad = {5: "five and more"}
    (report,) = runner.audit()
    assert report.subjects == ("5",)
    assert stored() == [("2", "two", False), ("5", "five and more", True)]
    assert len(lines()) == 1

    rows.bad = {2: "two again"}
    runner.audit(full=True)
    assert stored() == [
        ("2", "two", False),
        ("5", "five and more", False),
        ("2", "two again", True),
    ]
    assert [line["extra"]["subjects"] for line in lines()] == [["2", "5"], ["2"]]


def test_without_recheck_only_a_complete_scan_resolves_violations() -> None:
    rows = Rows()
    invariant(FIRST)(lambda _checkpoint: rows.scan({}))
    rows.bad = {1: "bad row"}
    runner.audit()
    rows.bad = {}
    runner._scan_and_store(declare.declared[FIRST], seconds=1e-9)  # ends after the first part
    assert stored() == [("1", "bad row", True)]
    runner.audit()
    assert stored() == [("1", "bad row", False)]


def test_the_log_line_names_at_most_a_hundred_subjects(rows: Rows, lines: Lines) -> None:
    rows.size = 150
    rows.bad = dict.fromkeys(range(1, 151), "bad")
    runner.audit()
    (line,) = lines()
    assert line["extra"]["count"] == 150
    assert line["extra"]["subjects"] == sorted(str(number) for number in rows.bad)[:100]


def test_a_scan_stops_at_the_maximum_of_open_violations(
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


def test_a_failed_or_unchecked_invariant_does_not_stop_the_others(rows: Rows, lines: Lines) -> None:
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
    assert [(report.invariant, report.checked, report.problem) for report in reports] == [
        (FIRST, 6, ""),
        (THIRD, 0, "the gateway does not answer"),
        (SECOND, 0, "failed: LookupError"),
    ]
    by_message = {line["message"]: line for line in lines()}
    assert sorted(by_message) == ["event=audit.failed", "event=audit.not_checked"]
    assert by_message["event=audit.failed"]["level"] == "ERROR"
    assert by_message["event=audit.failed"]["extra"]["invariant"] == SECOND
    assert by_message["event=audit.not_checked"]["level"] == "WARNING"
    assert by_message["event=audit.not_checked"]["extra"] == {
        "invariants": [THIRD],
        "reason": "the gateway does not answer",
    }
    assert check().checked_at is not None
    assert check(SECOND).checked_at is check(THIRD).checked_at is None
    assert stored() == []


def test_an_outdated_result_is_dropped(rows: Rows) -> None:
    rows.bad = {1: "bad row"}
    first = declare.declared[FIRST]

    def overtaken(checkpoint: Checkpoint) -> Iterator[Part]:
        parts = list(rows.scan(checkpoint))
        rows.bad = {}  # fixed meanwhile, and another audit scans all rows
        runner._scan_and_store(first)
        yield from parts

    runner._scan_and_store(declare.Invariant(FIRST, overtaken, rows.recheck))
    assert stored() == []
    assert (check().version, check().checkpoint) == (1, {"done": 6})


def test_concurrent_audits_store_a_violation_once(rows: Rows) -> None:
    rows.bad = {1: "bad row"}
    first = declare.declared[FIRST]

    def overtaken(checkpoint: Checkpoint) -> Iterator[Part]:
        runner._scan_and_store(first)
        yield from rows.scan(checkpoint)

    runner._scan_and_store(declare.Invariant(FIRST, overtaken, rows.recheck))
    assert stored() == [("1", "bad row", True)]


def test_the_job_audits_new_rows_each_minute_and_all_rows_daily(
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
        violations = tasks.run_audit()
        assert rows.begun == begun
    assert violations == 1
    assert stored() == [("2", "an old row that somebody changed", True)]
    assert check().full_checked_at == now


@pytest.mark.parametrize(
    ("full_every", "begun"), [(declare.EACH_DAY, [6]), (declare.EACH_RUN, [6, 0]), (None, [0])]
)
def test_each_invariant_has_its_interval_of_full_scans(
    full_every: timedelta | None, begun: list[int]
) -> None:
    rows = Rows()
    invariant(FIRST, recheck=rows.recheck, full_every=full_every)(rows.scan)
    tasks.run_audit()
    rows.bad = {2: "an old row that somebody changed"}
    rows.begun.clear()
    assert tasks.run_audit() == (full_every != declare.EACH_DAY)
    assert rows.begun == begun


def test_an_interrupted_full_scan_continues_where_it_stopped(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SCAN_SECONDS", 1e-9)
    seen = []
    for _ in range(4):
        tasks.run_audit()
        state = check()
        full = (state.full_checkpoint or {}).get("done")
        seen.append((state.checkpoint["done"], state.checked_at is None, full))
        assert (state.full_checked_at is None) is (full is not None)
    # Each run advances the incremental scan and the full scan by one part each; whether there
    # are more parts is known only when the next is requested.
    assert seen == [(2, True, 2), (4, True, 4), (6, True, 6), (6, False, None)]


def test_a_scan_without_progress_is_not_interrupted(rows: Rows) -> None:
    def held(checkpoint: Checkpoint) -> Iterator[Part]:
        for part in rows.scan({}):
            yield Part(part.checked, part.violations, checkpoint)

    report = runner._scan_and_store(declare.Invariant(FIRST, held, rows.recheck), seconds=1e-9)
    assert report.checked == 6
    assert check().checked_at is not None


def test_open_violations_are_gauges_and_absent_without_a_recent_audit(
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
    rows.bad = {1: "bad row", 2: "two"}
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
    """Run the command; return its exit status and the cells of its table."""
    out = StringIO()
    status = 0
    try:
        call_command("audit", *arguments, stdout=out)
    except SystemExit as ended:
        status = int(str(ended.code))
    return status, [line.split() for line in out.getvalue().splitlines()]


def test_the_command_prints_the_results_and_returns_a_status(rows: Rows) -> None:
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
    assert rows.begun == [0, 0, 0]


def test_the_command_has_a_status_for_unchecked_invariants(rows: Rows) -> None:
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
    rows.bad = {1: "bad row"}
    assert run("--full")[0] == 1


def test_the_audit_logs_nothing_without_violations(
    rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "retail.audit"):
        runner.audit()
    assert caplog.records == []

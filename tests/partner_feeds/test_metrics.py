"""What the metrics of partner feeds say. Rows and files are read from the database."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from partner_feeds import intake, metrics, services, totals
from partner_feeds.applying import apply_all, apply_rows, next_window
from partner_feeds.models import Ingestion, Partner
from tests.partner_feeds.taking_in import FILE, take_in
from tests.support import moved

if TYPE_CHECKING:
    from partner_feeds.metrics import Samples
    from retail.observability.prometheus.instruments import DatabaseGauge

pytestmark = pytest.mark.django_db(transaction=True)

ROWS, FILES = "retail_feed_rows_total", "retail_feed_ingestions_total"
DIRTY = FILE + b"".join(b"B%d,Bowl,9.90,1\n" % number for number in range(6)) + b"C,Cup,?,1\n"


def feeds(changes: dict[str, float]) -> dict[str, float]:
    """Return the changes of counters of files, with short names."""
    return {
        name.removeprefix(f"{ROWS}{{partner=").removeprefix(FILES): change
        for name, change in changes.items()
        if name.startswith((ROWS, FILES))
    }


def durations(changes: dict[str, float]) -> dict[str, float]:
    counts = "retail_feed_duration_seconds_count"
    return {
        name.removeprefix(counts): change
        for name, change in changes.items()
        if name.startswith(counts)
    }


def now_of(gauge: DatabaseGauge) -> Samples:
    return metrics.read_feeds()[gauge]


def another(partner: Partner, number: int, **fields: object) -> Partner:
    values = {"name": f"No. {number}", "slug": f"no-{number}", **fields}
    return Partner.objects.create(category=partner.category, **values)


def ended(partner: Partner, minutes: float, status: str = "DONE", **fields: object) -> Ingestion:
    """Create a file that ended so many minutes ago."""
    at = timezone.now() - timedelta(minutes=minutes)
    return Ingestion.objects.create(
        partner=partner, status=status, created_at=at, finished_at=at, **fields
    )


def promised(partner: Partner, within: int | None, minutes: float) -> None:
    """Let a partner have promised so many minutes ago to deliver within a time."""
    at = timezone.now() - timedelta(minutes=minutes)
    rows = Partner.objects.filter(pk=partner.pk)
    rows.update(fresh_within_minutes=within, promised_at=at)


def test_rows_count_once_when_the_file_is_applied_to_its_end(partner: Partner) -> None:
    with moved() as while_applying:
        ingestion = intake.ingest(partner, io.BytesIO(DIRTY))
        apply_rows(ingestion.pk, next_window(ingestion.pk, "").rows[:2])
    assert feeds(while_applying) == {}
    # As after a crash: others go on, both to the end.
    with moved() as changes:
        assert apply_all(ingestion)
        assert apply_all(ingestion)
    assert feeds(changes) == {
        '"acme",result="created"}': 9,
        '"acme",result="rejected"}': 1,
        '{outcome="done"}': 1,
    }
    assert durations(changes) == {'{outcome="done"}': 1}


def test_files_that_are_not_applied_count_without_rows(partner: Partner) -> None:
    take_in(partner, FILE)
    with moved() as changes:
        take_in(partner, FILE)
        take_in(partner, b"sku,name\n")
    assert feeds(changes) == {'{outcome="unchanged"}': 1, '{outcome="failed"}': 1}
    assert durations(changes) == {'{outcome="failed"}': 1}  # the other was not read


def test_a_held_file_counts_as_held_and_by_its_end(partner: Partner) -> None:
    take_in(partner, FILE)
    with moved() as first:
        held = take_in(partner, FILE.replace(b"24.90", b"2490.00"))
    assert (held.status, feeds(first)) == ("HELD", {'{outcome="held"}': 1})
    assert now_of(metrics.FEEDS_HELD) == {(): 1}
    with moved() as second:
        other = take_in(partner, FILE.replace(b"24.90", b"249.00"))
        services.apply_anyway(other, user_id=None, reason="gold")
        assert apply_all(other)
    assert feeds(second) == {
        '{outcome="held"}': 1,
        '{outcome="discarded"}': 1,
        '{outcome="done"}': 1,
        '"acme",result="updated"}': 1,
        '"acme",result="unchanged"}': 2,
    }
    assert durations(second) == {'{outcome="discarded"}': 1, '{outcome="done"}': 1}
    assert now_of(metrics.FEEDS_HELD) == {(): 0}


def test_a_take_back_is_not_a_file(partner: Partner) -> None:
    ingestion = take_in(partner, FILE)
    before = now_of(metrics.LAST_SUCCESS)
    with moved() as changes:
        assert apply_all(services.take_back(ingestion, user_id=None))
    assert (feeds(changes), durations(changes)) == ({}, {})
    assert now_of(metrics.LAST_SUCCESS) == before


def test_what_is_rolled_back_took_no_time(partner: Partner) -> None:
    ingestion = ended(partner, 1)
    with moved() as changes, transaction.atomic():
        metrics.record_ended(ingestion)
        transaction.set_rollback(True)
    assert durations(changes) == {}


def test_series_exist_before_the_first_file(partner: Partner) -> None:
    results = ("created", "updated", "unchanged", "rejected")
    assert now_of(metrics.ROWS) == {("acme", result): 0 for result in results}
    outcomes = ("done", "unchanged", "failed", "discarded", "held")
    assert now_of(metrics.INGESTIONS) == {(outcome,): 0 for outcome in outcomes}
    assert now_of(metrics.LAST_SUCCESS) == now_of(metrics.AGE) == {}


def test_after_fifty_partners_the_others_are_one_and_nobodys_label_changes(
    partner: Partner,
) -> None:
    ended(partner, 5, created=2)
    with CaptureQueriesContext(connection) as few:
        metrics.read_feeds()
    last = [another(partner, number) for number in range(1, 52)]  # with the first, 52
    ended(last[48], 4, created=3)
    ended(last[49], 3, created=4)
    ended(last[50], 2, created=5)
    with CaptureQueriesContext(connection) as many:
        rows = now_of(metrics.ROWS)
    assert len(many) == len(few)
    assert {label: count for (label, result), count in rows.items() if count} == {
        "acme": 2,
        "no-49": 3,
        "other": 4 + 5,
    }
    assert len({label for label, _ in rows}) == 51
    times = now_of(metrics.LAST_SUCCESS)
    newest = Ingestion.objects.get(created=5).finished_at
    assert newest is not None
    assert times["other",] == newest.timestamp()


def test_a_partner_may_be_called_other(partner: Partner) -> None:
    ended(another(partner, 1, slug="other"), 5, created=2)
    assert now_of(metrics.ROWS)["other", "created"] == 2


@pytest.mark.parametrize(
    ("files", "age"),
    [
        ([], 90),
        ([(60, "DONE"), (70, "DONE")], 60),
        ([(60, "DONE"), (20, "UNCHANGED")], 20),
        ([(60, "DONE"), (20, "FAILED"), (10, "DISCARDED")], 60),
        ([(500, "DONE")], 90),  # before it promised
    ],
)
def test_the_age_is_that_of_the_last_success_since_the_promise(
    partner: Partner, files: list[tuple[int, str]], age: int
) -> None:
    for minutes, status in files:
        ended(partner, minutes, status)
    promised(partner, 30, minutes=90)
    assert now_of(metrics.AGE) == {("acme",): pytest.approx(60 * age, abs=5)}
    assert now_of(metrics.MOST_AGE) == {("acme",): 1800}


def test_without_a_promise_or_when_inactive_nothing_is_late(partner: Partner) -> None:
    ended(partner, 60)
    promised(partner, None, minutes=90)
    held = another(partner, 1, is_active=False, fresh_within_minutes=5)
    promised(held, 5, minutes=90)
    Ingestion.objects.create(partner=held, status="HELD", held_for=["x"], read_at=timezone.now())
    found = metrics.read_feeds()
    assert found[metrics.AGE] == found[metrics.MOST_AGE] == {}
    assert found[metrics.LAST_SUCCESS].keys() == {("acme",)}
    assert (found[metrics.FEEDS_HELD], found[metrics.HELD_OLDEST]) == ({(): 0}, {(): 0})


def test_of_several_partners_with_one_label_the_latest_counts(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals, "MOST_LABELS", 1)
    for number, within in ((1, 600), (2, 10), (3, None)):
        promised(another(partner, number), within, minutes=60)
    assert now_of(metrics.AGE) == {("other",): pytest.approx(3600, abs=5)}
    assert now_of(metrics.MOST_AGE) == {("other",): 600}


def test_the_oldest_held_file(partner: Partner) -> None:
    for number in (1, 2):
        Ingestion.objects.create(
            partner=another(partner, number),
            status="HELD",
            read_at=timezone.now() - timedelta(minutes=number),
        )
    assert now_of(metrics.FEEDS_HELD) == {(): 2}
    assert now_of(metrics.HELD_OLDEST) == {(): pytest.approx(120, abs=5)}


@pytest.mark.parametrize(
    ("change", "begins_again"),
    [
        ({"fresh_within_minutes": 60}, True),
        ({"is_active": False}, True),
        ({"name": "Acme & Sons", "delimiter": ";"}, False),
    ],
)
@pytest.mark.parametrize("only", [False, True])
def test_a_promise_that_is_made_anew_counts_from_then(
    partner: Partner, change: dict[str, object], begins_again: bool, only: bool
) -> None:
    promised(partner, 30, minutes=90)
    partner.refresh_from_db()
    before = partner.promised_at
    for name, value in change.items():
        setattr(partner, name, value)
    partner.save(update_fields=list(change) if only else None)
    partner.refresh_from_db()
    assert (partner.promised_at > before) == begins_again
    assert {name: getattr(partner, name) for name in change} == change

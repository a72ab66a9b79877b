"""Files that the worker reads and applies, in as many runs as it takes."""

from __future__ import annotations

import io
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_q.models import OrmQ

from partner_feeds import files, intake, services, staging, tasks
from partner_feeds.models import FilePart, Ingestion, Partner, StagedRow
from partner_feeds.tasks import continue_feed, resume_feeds, void_dead_feeds
from products.models import Product
from tests.partner_feeds.taking_in import FILE, D, counts, everything, rejects, shelf, take_in
from tests.support import unbalanced_products

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db
UPLOAD = Ingestion.Origin.UPLOAD
SHOPIFY = Path(__file__).with_name("samples") / "shopify.csv"


def receive(partner: Partner, content: bytes) -> Ingestion:
    return intake.receive(partner, io.BytesIO(content), origin=UPLOAD)


def work(ingestion: Ingestion) -> int:
    """Run the ingestion's jobs until none is left; return how many ran."""
    continue_feed(ingestion.pk)
    runs = 1
    while job := OrmQ.objects.order_by("pk").first():
        task = job.task
        assert (task["func"], task["args"]) == (continue_feed.path, (ingestion.pk,))
        job.delete()
        continue_feed(*task["args"])
        runs += 1
    ingestion.refresh_from_db()
    assert unbalanced_products() == []
    return runs


def test_a_stored_file_is_read_and_applied(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PART_BYTES", 10)
    ingestion = receive(partner, FILE)
    assert (ingestion.status, ingestion.is_stored, ingestion.origin) == ("READING", True, "upload")
    assert FilePart.objects.count() == -(-len(FILE) // 10)
    assert (counts(ingestion), shelf()) == ((0, 0, 0, 0, 0), {})
    assert work(ingestion) == 1
    assert (ingestion.status, counts(ingestion)) == ("DONE", (3, 3, 0, 0, 0))
    assert (ingestion.to_apply, ingestion.is_stored, FilePart.objects.count()) == (3, False, 0)
    assert ingestion.created_at < (ingestion.read_at or ingestion.created_at)
    assert len(shelf()) == 3


def test_a_file_that_takes_many_runs_is_taken_in_as_by_one(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"mapping": "shopify", "most_rejects_ratio": 1.0}
    Partner.objects.update(**own)
    partner.refresh_from_db()
    at_once = take_in(partner, SHOPIFY.read_bytes())
    expected = (counts(at_once), rejects(at_once), shelf(), at_once.records_read)
    assert (at_once.status, at_once.records_read > at_once.rows) == ("DONE", True)
    monkeypatch.setattr(staging, "BATCH", 1)
    monkeypatch.setattr(tasks, "SECONDS", -1)
    other = Partner.objects.create(name="Other", slug="other", category=partner.category, **own)
    ingestion = receive(other, SHOPIFY.read_bytes())
    for _ in range(at_once.rows):
        continue_feed(ingestion.pk)
        ingestion.refresh_from_db()
        assert ingestion.status == "READING"
    monkeypatch.setattr(tasks, "SECONDS", 45)
    OrmQ.objects.all().delete()
    work(ingestion)
    on_shelf = {one.sku: (one.name, one.price, one.stock) for one in products_of("other")}
    assert (counts(ingestion), rejects(ingestion), on_shelf, ingestion.records_read) == expected


def products_of(source: str) -> list[Product]:
    return list(Product.objects.filter(source=source))


def test_a_file_with_no_good_row_fails_also_when_it_takes_many_runs(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "BATCH", 1)
    monkeypatch.setattr(tasks, "SECONDS", -1)
    ingestion = receive(partner, b"sku,name,price\nA,Pan,x\nB,Pot,y\n")
    assert work(ingestion) == 3
    assert (ingestion.status, ingestion.code) == ("FAILED", "no_good_row")
    assert ingestion.rejected_by_code == {"price": 2}
    assert (FilePart.objects.count(), ingestion.is_stored) == (0, False)


def test_the_same_file_is_neither_stored_nor_read(partner: Partner) -> None:
    work(receive(partner, FILE))
    before = everything()
    again = receive(partner, FILE)
    assert (again.status, FilePart.objects.count(), everything()) == ("UNCHANGED", 0, before)
    assert again.finished_at == again.created_at


def test_the_same_file_as_the_one_held_leaves_it_held(partner: Partner) -> None:
    take_in(partner, FILE)
    jumped = FILE.replace(b"24.90", b"2490.00")
    held = take_in(partner, jumped)
    assert held.status == "HELD"
    before = Ingestion.objects.count()
    assert receive(partner, jumped) == held
    assert (Ingestion.objects.count(), FilePart.objects.count()) == (before, 0)
    newer = receive(partner, jumped.replace(b"Pan", b"Pot"))
    held.refresh_from_db()
    assert (held.status, newer.status) == ("DISCARDED", "READING")


def test_the_last_file_again_replaces_the_one_that_is_held(partner: Partner) -> None:
    take_in(partner, FILE)
    held = take_in(partner, FILE.replace(b"24.90", b"2490.00"))
    again = receive(partner, FILE)
    held.refresh_from_db()
    assert (held.status, held.reason, again.status) == (
        *("DISCARDED", "A newer file arrived.", "UNCHANGED"),
    )


def test_the_last_file_again_waits_for_the_one_that_is_taken_in(partner: Partner) -> None:
    take_in(partner, FILE)
    running = receive(partner, FILE.replace(b"24.90", b"25.90"))
    with pytest.raises(services.IngestionRefusedError, match="is being taken in already"):
        receive(partner, FILE)
    work(running)
    assert shelf()["A1"][1] == D("25.90")
    assert receive(partner, FILE).status == "READING"


def test_what_a_dead_worker_left_is_resumed(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "BATCH", 1)
    ingestion = receive(partner, FILE)
    assert not intake.read_stored(ingestion, seconds=-1)
    assert resume_feeds() == 0
    Ingestion.objects.update(alive_at=timezone.now() - timedelta(minutes=6))
    assert (void_dead_feeds(), resume_feeds()) == (0, 1)
    OrmQ.objects.all().delete()
    intake.read_stored(ingestion, seconds=45)
    ingestion.refresh_from_db()
    assert (ingestion.status, ingestion.rows) == ("APPLYING", 3)
    assert resume_feeds() == 0
    Ingestion.objects.update(alive_at=timezone.now() - timedelta(minutes=2))
    assert resume_feeds() == 1
    OrmQ.objects.all().delete()
    work(ingestion)
    assert (ingestion.status, counts(ingestion)) == ("DONE", (3, 3, 0, 0, 0))
    Ingestion.objects.update(alive_at=timezone.now() - timedelta(minutes=6))
    assert (void_dead_feeds(), resume_feeds()) == (0, 0)


@pytest.mark.parametrize(
    ("error", "status"),
    [(RuntimeError, "FAILED"), (OperationalError, "READING"), (SystemExit, "READING")],
)
def test_a_file_on_which_reading_breaks_is_not_tried_for_ever(
    partner: Partner, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], status: str
) -> None:
    """What a bug breaks fails; what the database, or the end of a job, breaks is resumed."""
    ingestion = receive(partner, FILE)

    def broken(*_arguments: object, **_options: object) -> bool:
        raise error

    monkeypatch.setattr(intake, "stage", broken)
    with pytest.raises(error):
        continue_feed(ingestion.pk)
    ingestion.refresh_from_db()
    assert (ingestion.status, FilePart.objects.exists()) == (status, status == "READING")


def test_a_second_reader_of_the_same_file_stores_nothing(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "BATCH", 1)
    ingestion = receive(partner, FILE)
    late = Ingestion.objects.get(pk=ingestion.pk)
    assert not intake.read_stored(ingestion, seconds=-1)
    assert intake.read_stored(late, seconds=45)  # it has nothing more to do
    assert list(StagedRow.objects.values_list("sku", flat=True)) == ["A1"]
    assert (late.status, late.rows) == ("READING", 1)
    work(ingestion)
    assert (ingestion.status, counts(ingestion)) == ("DONE", (3, 3, 0, 0, 0))


def test_a_file_that_did_not_arrive_is_recorded_and_leaves_a_held_one(partner: Partner) -> None:
    take_in(partner, FILE)
    held = take_in(partner, FILE.replace(b"24.90", b"2490.00"))
    failed = intake.refuse(
        partner, origin=Ingestion.Origin.FETCH, code="not_found", problem="There is no file."
    )
    assert (failed.status, failed.code, failed.problem) == (
        *("FAILED", "not_found", "There is no file."),
    )
    held.refresh_from_db()
    assert held.status == "HELD"


def test_files_of_an_inactive_partner_are_not_received(partner: Partner) -> None:
    Partner.objects.update(is_active=False)
    partner.refresh_from_db()
    with pytest.raises(services.IngestionRefusedError, match="is not active"):
        receive(partner, FILE)
    assert (Ingestion.objects.count(), FilePart.objects.count()) == (0, 0)


def test_what_a_killed_process_left_of_a_file_is_deleted(
    settings: Settings, tmp_path: Path
) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    left, arriving = tmp_path / "left.upload", tmp_path / "arriving.upload"
    for path, age in ((left, 3700), (arriving, 3500)):
        path.write_bytes(FILE)
        os.utime(path, (time.time() - age,) * 2)
    assert void_dead_feeds() == 0
    assert list(tmp_path.iterdir()) == [arriving]

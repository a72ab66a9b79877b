"""Read a file into the stage: good rows, and rejected ones with their reasons."""

from __future__ import annotations

from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO

from django.db import transaction
from django.db.models import Count, Exists, F, Min, OuterRef
from django.utils import timezone

from partner_feeds.models import Ingestion, Partner, RejectedRow, StagedRow
from partner_feeds.pace import Pace
from partner_feeds.reading.items import Reader
from partner_feeds.reading.problems import FeedError, Reject
from products.models import Category, Product
from retail.db.bulk import insert_rows
from retail.db.reads import joined_as_a_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from partner_feeds.reading.items import Item

BATCH = 1000
# Columns in the order of `_values`.
_COLUMNS = (
    *("ingestion", "line", "sku", "name", "description", "category", "ean", "price", "stock"),
    "offered",
)
_LINES_NAMED = 5
_SENTENCE = 300


class ReadingLostError(Exception):
    """Another process reads this file, or its reading was given up as dead."""


def _values(
    ingestion_id: int, sku: str, item: Item, categories: Mapping[str, int]
) -> tuple[Any, ...]:
    category = categories.get((item.category or "").casefold())
    return (
        *(ingestion_id, item.line, sku, item.name, item.description, category, item.ean),
        *(item.price, item.stock, item.offered),
    )


def printable(cells: Any) -> dict[str, str]:
    """Return cells as text that every database takes."""
    return {
        str(name)[:100]: ("" if cell is None else str(cell))[:1000]
        .encode("utf-8", "backslashreplace")
        .decode("utf-8")
        .replace("\0", "\\x00")
        for name, cell in dict(cells).items()
    }


def reject_rows(ingestion: Ingestion, rows: Iterable[tuple[int, str, str, Any]]) -> int:
    """Store rejected rows, each with line, code, sentence and cells; return how many."""
    rejects = [
        (ingestion.pk, line, code, sentence[:_SENTENCE], list(printable(cells).items()))
        for line, code, sentence, cells in rows
    ]
    insert_rows(RejectedRow, ("ingestion", "line", "code", "sentence", "cells"), rejects)
    return len(rejects)


def _rejected(ingestion: Ingestion, rejects: Iterable[Reject]) -> int:
    return reject_rows(
        ingestion, ((row.line, row.code, row.sentence, row.cells) for row in rejects)
    )


def stage(
    ingestion: Ingestion,
    file: BinaryIO,
    report: Callable[[int], object] = lambda _rows: None,
    *,
    seconds: float = float("inf"),
) -> bool:
    """Read a file in transactions of BATCH rows, from where the ingestion has come to.

    Returns whether it was read to its end; else the time was up. `report` gets the rows so far.
    Raises FeedError if the file is refused, also after its last row: then nothing staged counts.
    """
    partner, until = ingestion.partner, monotonic() + seconds
    taken = ingestion.rows > ingestion.rejected
    reader = Reader(file, partner.options(), after=ingestion.records_read, taken=taken)
    items = iter(reader)
    categories = {one.name.casefold(): one.pk for one in Category.objects.all()}
    total, pace, began = ingestion.rows, Pace(), monotonic()
    while batch := list(islice(items, BATCH)):
        _stage_batch(ingestion, batch, reader.records, categories)
        total += len(batch)
        report(total)
        pace.give_way(monotonic() - began)
        began = monotonic()
        if monotonic() > until:
            return False
    _reject_doubles(ingestion)
    if not ingestion.staged.exists():
        raise FeedError("no_good_row", "Each row has a key that another row has, too.")
    if partner.absent == Partner.Absent.SOLD_OUT:
        _add_absent(ingestion)
    return True


@transaction.atomic
def _stage_batch(
    ingestion: Ingestion,
    batch: list[Item | Reject],
    records: int,
    categories: Mapping[str, int],
) -> None:
    """Store rows, unless another reader has come as far, or the reading was given up."""
    good = [item for item in batch if not isinstance(item, Reject)]
    key = ingestion.partner.key
    rows = [_values(ingestion.pk, key(item.sku), item, categories) for item in good]
    insert_rows(StagedRow, _COLUMNS, rows)
    rejected = _rejected(ingestion, (row for row in batch if isinstance(row, Reject)))
    mine = Ingestion.objects.filter(
        pk=ingestion.pk, status=Ingestion.Status.READING, records_read=ingestion.records_read
    )
    if not mine.update(
        rows=F("rows") + len(batch),
        rejected=F("rejected") + rejected,
        records_read=records,
        alive_at=timezone.now(),
    ):
        raise ReadingLostError
    ingestion.records_read = records


@transaction.atomic
def _add_absent(ingestion: Ingestion) -> None:
    """Add the partner's products that are not in the file, as if it said that it has none."""
    slug = ingestion.partner.slug
    there = ingestion.staged.filter(sku=OuterRef("sku"))
    mine = Product.objects.filter(source=slug, source_stock__gt=0).order_by()
    gone = mine.exclude(Exists(there)).values_list("sku", flat=True)
    with joined_as_a_whole():
        rows = [StagedRow(ingestion=ingestion, line=0, sku=sku, stock=0) for sku in gone if sku]
    StagedRow.objects.bulk_create(rows, batch_size=BATCH)
    # Also those that a reader added that died right afterwards.
    absent = ingestion.staged.filter(line=0).count()
    Ingestion.objects.filter(pk=ingestion.pk).update(absent=absent)


@transaction.atomic
def _reject_doubles(ingestion: Ingestion) -> None:
    """Reject all rows whose key is in the file more than once; each names the others' lines."""
    keys = ingestion.staged.order_by().values("sku")
    doubles = keys.annotate(count=Count("pk"), first=Min("line")).filter(count__gt=1)
    for double in doubles.order_by("first"):
        rows = list(ingestion.staged.filter(sku=double["sku"]).order_by("line", "pk"))
        rejects = [_double(row, [other.line for other in rows if other is not row]) for row in rows]
        _rejected(ingestion, rejects)
        StagedRow.objects.filter(pk__in=[row.pk for row in rows]).delete()
        Ingestion.objects.filter(pk=ingestion.pk).update(rejected=F("rejected") + len(rows))


def _double(row: StagedRow, others: list[int]) -> Reject:
    named = ", ".join(map(str, others[:_LINES_NAMED]))
    more = f" and {len(others) - _LINES_NAMED} more" if len(others) > _LINES_NAMED else ""
    lines = "lines" if len(others) > 1 else "line"
    sentence = f"The key {row.sku} is also in {lines} {named}{more}."
    return Reject(row.line, "key_twice", sentence, row.cells())

"""Read a file into the stage: good rows, and rejected ones with their reasons."""

from __future__ import annotations

import io
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO

from django.db import connection, transaction
from django.db.models import Count, Exists, F, Min, OuterRef
from django.utils import timezone

from partner_feeds.models import Ingestion, Partner, RejectedRow, StagedRow
from partner_feeds.reading.items import Reader
from partner_feeds.reading.problems import FeedError, Reject
from products.models import Product

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from partner_feeds.reading.items import Item

BATCH = 1000
# Columns in the order of `_values`.
_COLUMNS = (
    *("ingestion_id", "line", "sku", "name", "description", "category", "ean", "price", "stock"),
    "offered",
)
_LINES_NAMED = 5
_SENTENCE = 300


class ReadingLostError(Exception):
    """Another process reads this file, or its reading was given up as dead."""


def _values(ingestion_id: int, sku: str, item: Item) -> tuple[Any, ...]:
    return (
        *(ingestion_id, item.line, sku, item.name, item.description, item.category, item.ean),
        *(item.price, item.stock, item.offered),
    )


# How COPY's text format writes what would end a value or a row.
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _copied(values: Iterable[Any]) -> str:
    texts = ("\\N" if value is None else str(value).translate(_ESCAPED) for value in values)
    return "\t".join(texts)


def _store(rows: Sequence[tuple[Any, ...]]) -> None:
    """Write rows to the stage, on PostgreSQL by COPY."""
    if connection.vendor == "postgresql":
        table, columns = StagedRow._meta.db_table, ", ".join(_COLUMNS)  # noqa: SLF001 - documented
        text = io.StringIO("\n".join(map(_copied, rows)))
        with connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", text)
        return
    named = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    StagedRow.objects.bulk_create([StagedRow(**values) for values in named])


def printable(cells: Any) -> dict[str, str]:
    """Return cells as text that every database takes."""
    return {
        str(name)[:100]: ("" if cell is None else str(cell))[:1000]
        .encode("utf-8", "backslashreplace")
        .decode("utf-8")
        .replace("\0", "\\x00")
        for name, cell in dict(cells).items()
    }


def _rejected(ingestion: Ingestion, rejects: Iterable[Reject]) -> int:
    rows = [
        RejectedRow(
            ingestion=ingestion,
            line=reject.line,
            code=reject.code,
            sentence=reject.sentence[:_SENTENCE],
            cells=list(printable(reject.cells).items()),
        )
        for reject in rejects
    ]
    RejectedRow.objects.bulk_create(rows)
    return len(rows)


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
    total = ingestion.rows
    while batch := list(islice(items, BATCH)):
        _stage_batch(ingestion, batch, reader.records)
        total += len(batch)
        report(total)
        if monotonic() > until:
            return False
    _reject_doubles(ingestion)
    if not ingestion.staged.exists():
        raise FeedError("no_good_row", "Each row has a key that another row has, too.")
    if partner.absent == Partner.Absent.SOLD_OUT:
        _add_absent(ingestion)
    return True


@transaction.atomic
def _stage_batch(ingestion: Ingestion, batch: list[Item | Reject], records: int) -> None:
    """Store rows, unless another reader has come as far, or the reading was given up."""
    good = [item for item in batch if not isinstance(item, Reject)]
    key = ingestion.partner.key
    _store([_values(ingestion.pk, key(item.sku), item) for item in good])
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

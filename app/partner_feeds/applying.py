"""Apply staged rows to the catalogue, in short transactions that can be repeated."""

from __future__ import annotations

from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from partner_feeds.events import log_fields, logger
from partner_feeds.metrics import record_ended
from partner_feeds.models import AppliedChange, Ingestion, StagedRow
from partner_feeds.pace import Pace
from partner_feeds.staging import reject_rows
from partner_feeds.undoing import undo_some
from products.models import Category
from products.offers import Offer
from products.services import offers_take
from retail.db.bulk import insert_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from products.offers import Taken

WINDOW = 1000  # staged rows to compare at once, without locks
# Rows that would change nothing: what they say is what is stored. Some that differ change nothing
# either (products/offers.py), and are compared again under the lock.
_UNCHANGED = """DELETE FROM partner_feeds_stagedrow WHERE id IN (
    SELECT staged.id FROM partner_feeds_stagedrow AS staged
    JOIN products_product AS product ON product.source = %s AND product.sku = staged.sku
    WHERE staged.ingestion_id = %s AND staged.sku > %s AND staged.sku <= %s
    AND (staged.name IS NULL OR staged.name = product.name)
    AND (staged.description IS NULL OR staged.description = product.description)
    AND (staged.category_id IS NULL OR staged.category_id = product.category_id)
    AND (staged.ean IS NULL OR staged.ean = product.ean)
    AND (staged.price IS NULL OR staged.price = product.price)
    AND (staged.stock IS NULL OR staged.stock = product.source_stock)
    AND (staged.offered IS NULL OR staged.offered = product.source_offered)
)"""


class Window(NamedTuple):
    """The staged rows up to a key: how many would change nothing and are done, and the others."""

    upto: str
    unchanged: int
    rows: list[StagedRow]


class AppliedElsewhereError(Exception):
    """Another process has applied some of these rows, or the whole ingestion."""


def _locked(ingestion_id: int) -> Ingestion:
    """Return an ingestion that is being applied, locked: two processes cannot apply its rows."""
    applying = Ingestion.objects.select_for_update(of=("self",)).select_related("partner")
    some = applying.only("reference", "takes_back", "partner__slug", "partner__category")
    found = some.filter(pk=ingestion_id, status=Ingestion.Status.APPLYING).first()
    if found is None:
        raise AppliedElsewhereError
    return found


def _commit_without_waiting() -> None:
    """Let this transaction's commit not wait for the disk.

    A power failure may lose it; then its rows are in the stage again. Everything that is committed
    later, like an order or `finish`, brings it to the disk first.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")


@transaction.atomic
def next_window(ingestion_id: int, after: str) -> Window:
    """Take rows that would change nothing from the next WINDOW after a key, locking no product."""
    ingestion = _locked(ingestion_id)
    _commit_without_waiting()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # It has no statistics of rows that were just staged, and would read all of them.
            cursor.execute("SET LOCAL enable_seqscan = off")
        staged = ingestion.staged.filter(sku__gt=after).order_by("sku")
        last = list(staged.values_list("sku", flat=True)[:WINDOW])[-1:]
        if not last:
            return Window(after, 0, [])
        cursor.execute(_UNCHANGED, [ingestion.partner.slug, ingestion_id, after, last[0]])
        unchanged = int(cursor.rowcount)
        rows = list(staged.filter(sku__lte=last[0]))
    _count(ingestion, unchanged=unchanged)
    return Window(last[0], unchanged, rows)


@transaction.atomic
def apply_rows(ingestion_id: int, rows: list[StagedRow]) -> None:
    """Apply staged rows and take them from the stage. Raises AppliedElsewhereError."""
    ingestion = _locked(ingestion_id)
    _commit_without_waiting()
    deleted, _ = StagedRow.objects.filter(pk__in=[row.pk for row in rows]).delete()
    if deleted < len(rows):
        raise AppliedElsewhereError
    categories = set(Category.objects.order_by().values_list("pk", flat=True))
    results = offers_take(
        source=ingestion.partner.slug,
        offers=[_offer(row, categories) for row in rows],
        new_category_id=ingestion.partner.category_id,
        reference=ingestion.reference,
    )
    _record(ingestion, rows, results)


@transaction.atomic
def finish(ingestion_id: int) -> None:
    """End an ingestion whose rows are all applied."""
    ingestion = _locked(ingestion_id)
    if ingestion.staged.exists():
        raise AppliedElsewhereError
    ingestion.status, ingestion.finished_at = Ingestion.Status.DONE, timezone.now()
    ingestion.save(update_fields=["status", "finished_at"])
    record_ended(ingestion)
    fields = log_fields(ingestion)
    transaction.on_commit(lambda: logger.info("event=feed.applied", extra=fields))


def _offer(row: StagedRow, categories: set[int]) -> Offer:
    return Offer(
        sku=row.sku,
        name=row.name,
        description=row.description,
        category_id=row.category_id if row.category_id in categories else None,
        ean=row.ean,
        price=row.price,
        stock=row.stock,
        offered=row.offered,
    )


def _record(ingestion: Ingestion, rows: list[StagedRow], results: list[Taken]) -> None:
    counts = dict.fromkeys(("created", "updated", "unchanged", "rejected"), 0)
    changes, rejects = [], []
    for row, taken in zip(rows, results, strict=True):
        counts[taken.result] += 1
        if taken.result == "rejected":
            rejects.append((row.line, "not_applied", taken.problem, row.cells()))
        elif taken.result != "unchanged":
            is_new = taken.result == "created"
            changes.append((taken.product_id, is_new, taken.units, taken.before, taken.after))
    insert_rows(
        AppliedChange,
        ("ingestion", "product", "is_new", "units", "before", "after"),
        [(ingestion.pk, *change) for change in changes],
    )
    reject_rows(ingestion, rejects)
    _count(ingestion, **counts)


def _count(ingestion: Ingestion, **counts: int) -> None:
    Ingestion.objects.filter(pk=ingestion.pk).update(
        alive_at=timezone.now(), **{name: F(name) + count for name, count in counts.items()}
    )


def _commits(ingestion: Ingestion) -> Iterator[int]:
    """Apply what is staged, commit by commit; yield how many rows each has done."""
    pace, after, began = Pace(), "", monotonic()
    while (window := next_window(ingestion.pk, after)).upto > after:
        pace.give_way(monotonic() - began)
        yield window.unchanged
        rows = iter(window.rows)
        while some := list(islice(rows, pace.size)):
            began = monotonic()
            apply_rows(ingestion.pk, some)
            pace.learn(len(some), monotonic() - began)
            yield len(some)
        after, began = window.upto, monotonic()


def _undoing_commits(ingestion: Ingestion) -> Iterator[int]:
    pace = Pace()
    while True:
        began = monotonic()
        with transaction.atomic():
            _commit_without_waiting()
            done = undo_some(_locked(ingestion.pk), pace.size)
        if not done:
            return
        pace.learn(done, monotonic() - began)
        yield done


def apply_all(
    ingestion: Ingestion,
    report: Callable[[int], object] = lambda _rows: None,
    *,
    seconds: float = float("inf"),
) -> bool:
    """Apply what is staged, or undo what is to be taken back, until all is done or the time is up.

    Returns whether all is done.
    """
    applied, until = 0, monotonic() + seconds
    commits = _undoing_commits if ingestion.takes_back_id else _commits
    applying = Ingestion.objects.filter(pk=ingestion.pk, status=Ingestion.Status.APPLYING)
    while applying.exists():
        try:
            for count in commits(ingestion):
                applied += count
                report(applied)
                if monotonic() > until:
                    return False
            finish(ingestion.pk)
        except AppliedElsewhereError:
            continue
    return True

"""Apply staged rows to the catalogue, in short transactions that can be repeated."""

from __future__ import annotations

from decimal import Decimal
from time import monotonic
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from partner_feeds.events import log_fields, logger
from partner_feeds.metrics import record_ended
from partner_feeds.models import AppliedChange, Ingestion, RejectedRow, StagedRow
from products.models import Category
from products.offers import Change, Offer
from products.services import offers_take, offers_take_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from products.offers import Taken

# A commit should take this long: shoppers wait for the locks of its products.
GOAL_SECONDS = 0.05
FEWEST, MOST = 20, 1000


def _offer(row: StagedRow, categories: dict[str, int]) -> Offer:
    return Offer(
        sku=row.sku,
        name=row.name,
        description=row.description,
        category_id=categories.get((row.category or "").casefold()),
        ean=row.ean,
        price=row.price,
        stock=row.stock,
        offered=row.offered,
    )


@transaction.atomic
def apply_some(ingestion_id: int, size: int) -> int:
    """Apply up to `size` staged rows and take them from the stage; return how many.

    Two processes cannot apply the same rows: the ingestion is locked.
    """
    applying = Ingestion.objects.select_for_update(of=("self",)).select_related("partner")
    ingestion = applying.get(pk=ingestion_id)
    if ingestion.status != Ingestion.Status.APPLYING:
        return 0
    undone = ingestion.takes_back
    count = _take_back_some(ingestion, undone, size) if undone else _take_some(ingestion, size)
    if not count:
        _finish(ingestion)
    return count


def _finish(ingestion: Ingestion) -> None:
    ingestion.status, ingestion.finished_at = Ingestion.Status.DONE, timezone.now()
    ingestion.save(update_fields=["status", "finished_at"])
    record_ended(ingestion)
    fields = log_fields(ingestion)
    transaction.on_commit(lambda: logger.info("event=feed.applied", extra=fields))


def _take_some(ingestion: Ingestion, size: int) -> int:
    rows = list(ingestion.staged.order_by("sku")[:size])
    if not rows:
        return 0
    categories = {one.name.casefold(): one.pk for one in Category.objects.all()}
    results = offers_take(
        source=ingestion.partner.slug,
        offers=[_offer(row, categories) for row in rows],
        new_category_id=ingestion.partner.category_id,
        reference=ingestion.reference,
    )
    _record(ingestion, rows, results)
    StagedRow.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _take_back_some(ingestion: Ingestion, undone: Ingestion, size: int) -> int:
    """Undo some of the changes of another ingestion."""
    rows = list(undone.changes.select_related("product").order_by("product")[:size])
    changes = {
        row.product_id: Change(row.is_new, row.units, _stored(row.before), _stored(row.after))
        for row in rows
    }
    refused = offers_take_back(changes=changes, reference=ingestion.reference)
    rejects = [
        RejectedRow(
            ingestion=ingestion,
            line=0,
            code="changed_since",
            sentence=refused[row.product_id],
            cells={"sku": row.product.sku, "name": row.product.name},
        )
        for row in rows
        if row.product_id in refused
    ]
    RejectedRow.objects.bulk_create(rejects)
    AppliedChange.objects.filter(pk__in=[row.pk for row in rows]).delete()
    Ingestion.objects.filter(pk=ingestion.pk).update(
        alive_at=timezone.now(),
        rows=F("rows") + len(rows),
        rejected=F("rejected") + len(rejects),
        updated=F("updated") + len(rows) - len(rejects),
    )
    return len(rows)


def _stored(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as they were before JSON had them."""
    return {
        name: Decimal(value) if name == "price" and value is not None else value
        for name, value in values.items()
    }


def _record(ingestion: Ingestion, rows: list[StagedRow], results: list[Taken]) -> None:
    counts = dict.fromkeys(("created", "updated", "unchanged", "rejected"), 0)
    changes, rejects = [], []
    for row, taken in zip(rows, results, strict=True):
        counts[taken.result] += 1
        if taken.result == "rejected":
            rejects.append(_reject(ingestion, row, taken.problem))
        elif taken.result != "unchanged":
            changes.append(
                AppliedChange(
                    ingestion=ingestion,
                    product_id=taken.product_id,
                    is_new=taken.result == "created",
                    units=taken.units,
                    before=taken.before,
                    after=taken.after,
                )
            )
    AppliedChange.objects.bulk_create(changes)
    RejectedRow.objects.bulk_create(rejects)
    Ingestion.objects.filter(pk=ingestion.pk).update(
        alive_at=timezone.now(), **{name: F(name) + count for name, count in counts.items()}
    )


def _reject(ingestion: Ingestion, row: StagedRow, sentence: str) -> RejectedRow:
    return RejectedRow(
        ingestion=ingestion,
        line=row.line,
        code="not_applied",
        sentence=sentence,
        cells=row.cells(),
    )


def apply_all(
    ingestion: Ingestion,
    report: Callable[[int], object] = lambda _rows: None,
    *,
    seconds: float = float("inf"),
) -> bool:
    """Apply what is staged until nothing is left or the time is up; return whether all is done."""
    size, applied, until = FEWEST, 0, monotonic() + seconds
    while monotonic() < until:
        began = monotonic()
        count = apply_some(ingestion.pk, size)
        if not count:
            return True
        applied += count
        report(applied)
        took = max(monotonic() - began, 0.001)
        size = min(max(int(size * GOAL_SECONDS / took), FEWEST), MOST)
    return False

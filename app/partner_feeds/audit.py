"""The invariant that compares partners' files with the stock ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from partner_feeds.models import Ingestion
from partner_feeds.services import TAKE_BACK_WITHIN
from retail.audit.declare import MOST_OPEN, Checkpoint, Part, Violation, invariant
from retail.audit.ranges import SECONDS, ranges
from retail.db.reads import bounded_read

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMED = 3  # products in a violation's detail
_OPEN = Q(finished_at=None)

# One statement reads all of it: a commit of the file is in both or in neither, and a file that is
# being taken back, which deletes its record, is not compared.
_MOVED = """
    SELECT product_id, sum(changed), sum(moved) FROM (
        SELECT product_id, units AS changed, 0 AS moved
        FROM partner_feeds_appliedchange WHERE ingestion_id = %s
        UNION ALL
        SELECT product_id, 0, quantity
        FROM products_stockmovement WHERE reference = %s AND reason = 'feed'
    ) record
    WHERE NOT EXISTS (SELECT 1 FROM partner_feeds_ingestion WHERE takes_back_id = %s)
    GROUP BY product_id HAVING sum(changed) <> sum(moved)
    ORDER BY product_id LIMIT %s
"""


def _compared() -> QuerySet[Ingestion]:
    """Return the files whose changes are still known: not taken back, and not about to be."""
    known = timezone.now() - (TAKE_BACK_WITHIN - timedelta(days=2))
    recent = _OPEN | Q(finished_at__gte=known)
    return Ingestion.objects.filter(recent, takes_back=None, taken_back_by=None)


def _violations(ingestions: QuerySet[Ingestion]) -> Iterator[Violation]:
    for key, reference in ingestions.order_by("pk").values_list("pk", "reference"):
        with bounded_read(SECONDS), connection.cursor() as cursor:
            cursor.execute(_MOVED, [key, reference, key, MOST_OPEN])
            rows = cursor.fetchall()
        named = [
            f"product {product}: {changed} by the file, {moved} in the ledger"
            for product, changed, moved in rows[:_NAMED]
        ]
        if len(rows) > _NAMED:
            named.append(f"{len(rows) - _NAMED:,} more products")
        if rows:
            yield Violation(reference, "; ".join(named))


def feed_moved_as_applied_of(references: list[str]) -> list[Violation]:
    """Recheck which of these files moved other stock than they recorded."""
    return list(_violations(_compared().filter(reference__in=references)))


@invariant("feed_moved_as_applied", recheck=feed_moved_as_applied_of)
def feed_moved_as_applied(checkpoint: Checkpoint) -> Iterator[Part]:
    """Find files that moved other stock than they recorded, product by product."""
    files = _compared()
    for rows in ranges(files, checkpoint.get("done", 0), chunk=10, moving=_OPEN):
        some = files.filter(pk__gte=rows.first, pk__lte=rows.last)
        yield Part(rows.size, list(_violations(some)), rows.checkpoint, rows.end)

"""Reads for staff's pages: how partners deliver, and what a held file would change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connection
from django.db.models import Exists, OuterRef, Subquery

from partner_feeds.gate import COMPARED, SOLD_OUT
from partner_feeds.models import Ingestion, Partner, PushKey
from products.models import Product
from retail.db.reads import joined_as_a_whole

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from django.db.models import QuerySet

WORST = 20  # shown of each kind
_Status = Ingestion.Status
OPEN = (_Status.READING, _Status.HELD, _Status.APPLYING)
RUNNING = (_Status.READING, _Status.APPLYING)
_CELLS, _CELLS_LENGTH = 3, 120  # shown of a rejected row


@dataclass(frozen=True)
class Delivery:
    """How a partner delivers: its last file, the one that is open, and the last that was taken."""

    partner: Partner
    last: Ingestion | None
    open: Ingestion | None
    taken_at: datetime | None
    has_keys: bool
    now: datetime

    @property
    def is_late(self) -> bool:
        """Whether the partner is active and has not kept its promise."""
        return self.partner.is_active and self.due_at is not None and self.due_at < self.now

    @property
    def due_at(self) -> datetime | None:
        """When the next file must have been taken in; None: any time."""
        minutes, since = self.partner.fresh_within_minutes, self.partner.promised_at
        if minutes is None:
            return None
        return max(self.taken_at or since, since) + timedelta(minutes=minutes)

    @property
    def order(self) -> tuple[bool, bool, bool, bool, str]:
        """Sort held files first, then running ones, late partners, and inactive ones last."""
        status = self.open.status if self.open else ""
        return (
            status != _Status.HELD,
            status not in RUNNING,
            not self.is_late,
            not self.partner.is_active,
            self.partner.name,
        )


def deliveries(now: datetime, partners: QuerySet[Partner] | None = None) -> list[Delivery]:
    """Return how partners deliver, by default all of them, what needs staff first."""
    files = Ingestion.objects.filter(partner=OuterRef("pk"), takes_back=None)
    newest = files.order_by("-created_at", "-pk")
    taken = newest.filter(status__in=[_Status.DONE, _Status.UNCHANGED])
    keys = PushKey.objects.filter(partner=OuterRef("pk"), revoked_at=None)
    found = list(
        (Partner.objects.all() if partners is None else partners).annotate(
            last_id=Subquery(newest.exclude(status__in=OPEN).values("pk")[:1]),
            taken_at=Subquery(taken.values("finished_at")[:1]),
            has_keys=Exists(keys),
        )
    )
    lasts = Ingestion.objects.in_bulk([one.last_id for one in found if one.last_id])
    opens = {one.partner_id: one for one in Ingestion.objects.filter(status__in=OPEN)}
    rows = [
        Delivery(
            partner=one,
            last=lasts.get(one.last_id),
            open=opens.get(one.pk),
            taken_at=one.taken_at,
            has_keys=one.has_keys,
            now=now,
        )
        for one in found
    ]
    return sorted(rows, key=lambda row: row.order)


def rejected_by_code(ingestion: Ingestion) -> list[tuple[str, int]]:
    """Return how many rows are rejected, by code, the most frequent first."""
    counts: dict[str, int] = dict(ingestion.rejected_by_code)
    if applied := ingestion.rejected - sum(counts.values()):
        if ingestion.status == _Status.READING:
            return []  # codes are counted at the end
        counts["changed_since" if ingestion.takes_back_id else "not_applied"] = applied
    return sorted(counts.items(), key=lambda row: (-row[1], row[0]))


class RejectShown(NamedTuple):
    """A rejected row, with the first of its cells."""

    line: int
    code: str
    sentence: str
    cells: str


def first_rejects(ingestion: Ingestion) -> list[RejectShown]:
    """Return the first rejected rows."""
    rows = ingestion.rejects.order_by("line", "pk")[:WORST]
    return [
        RejectShown(row.line, row.code, row.sentence, first_cells(row.by_name())) for row in rows
    ]


def first_cells(cells: dict[str, Any]) -> str:
    """Return the first cells of a row that are not blank, in one line."""
    told = [f"{name}: {cell}" for name, cell in cells.items() if str(cell or "").strip()]
    text = " · ".join(told[:_CELLS])
    return text if len(text) <= _CELLS_LENGTH else text[: _CELLS_LENGTH - 1] + "…"


def _rows(select: str, condition: str, end: str, ingestion: Ingestion) -> list[tuple[Any, ...]]:
    """Return staged rows of products that the partner already has in the shop."""
    statement = f"SELECT {select} {COMPARED} AND product.id IS NOT NULL AND {condition} {end}"
    with joined_as_a_whole(), connection.cursor() as cursor:
        cursor.execute(statement, [ingestion.partner.slug, ingestion.pk])
        return list(cursor.fetchall())


class PriceChange(NamedTuple):
    """A price that a held file would change, by a factor from 1."""

    product: Product
    before: Decimal
    after: Decimal
    factor: float


_FACTOR = """CASE WHEN staged.price > product.price
THEN 1.0 * staged.price / product.price ELSE 1.0 * product.price / staged.price END"""


def largest_price_changes(ingestion: Ingestion) -> list[PriceChange]:
    """Return the largest price changes, up or down."""
    found = _rows(
        f"staged.id, product.id, {_FACTOR} AS factor",
        "staged.price <> product.price AND product.price > 0",
        f"ORDER BY factor DESC, staged.line LIMIT {WORST}",
        ingestion,
    )
    keys = [row[0] for row in found]
    prices = ingestion.staged.filter(pk__in=keys).values_list("pk", "price")
    staged = {key: price for key, price in prices if price is not None}
    products = Product.objects.in_bulk([row[1] for row in found])
    return [
        PriceChange(
            product=products[product],
            before=products[product].price,
            after=staged[row],
            factor=float(factor),
        )
        for row, product, factor in found
        if row in staged and product in products  # else applied or deleted meanwhile
    ]


def sell_outs(ingestion: Ingestion) -> list[Product]:
    """Return products that would sell out, those with the most stock first."""
    order = f"ORDER BY product.stock DESC, staged.line LIMIT {WORST}"
    keys = [row[0] for row in _rows("product.id", SOLD_OUT, order, ingestion)]
    products = Product.objects.in_bulk(keys)
    return [products[key] for key in keys if key in products]


class Bucket(NamedTuple):
    """Price changes of about the same size, as a number and a percentage of all."""

    words: str
    prices: int
    percent: float


# The first condition that holds. In whole numbers: SQLite has no decimals.
_BUCKETS = (
    ("down by 90 % or more", "10 * staged.price <= product.price"),
    ("down by 50 to 90 %", "2 * staged.price <= product.price"),
    ("down by 10 to 50 %", "10 * staged.price <= 9 * product.price"),
    ("down by less than 10 %", "staged.price < product.price"),
    ("unchanged", "staged.price = product.price"),
    ("up by less than 10 %", "10 * staged.price < 11 * product.price"),
    ("up by 10 to 50 %", "2 * staged.price < 3 * product.price"),
    ("up by 50 % or more", "staged.price < 10 * product.price"),
    ("ten times or more", "staged.price >= 10 * product.price"),
)


def price_distribution(ingestion: Ingestion) -> list[Bucket]:
    """Return how many prices would change by how much, of products that are in the shop."""
    cases = " ".join(
        f"WHEN {condition} THEN {number}" for number, (_, condition) in enumerate(_BUCKETS)
    )
    select = f"CASE {cases} END AS bucket, count(*)"
    counts = dict(_rows(select, "staged.price IS NOT NULL", "GROUP BY bucket", ingestion))
    total = sum(counts.values())
    return [
        Bucket(words, counts.get(number, 0), 100 * counts.get(number, 0) / max(total, 1))
        for number, (words, _) in enumerate(_BUCKETS)
    ]

"""What a staged file would do to the catalogue, and whether that is more than usual."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from django.db import connection

from retail.db.reads import joined_as_a_whole
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from partner_feeds.models import Ingestion, Partner
    from retail.thresholds import Feeds

# Parameters: the partner's slug, the ingestion.
COMPARED = """FROM partner_feeds_stagedrow AS staged
LEFT JOIN products_product AS product
ON product.source = %s AND product.sku = staged.sku
WHERE staged.ingestion_id = %s"""
_JUMPED = """staged.price IS NOT NULL
AND (staged.price >= %s * product.price OR staged.price * %s <= product.price)"""
SOLD_OUT = "staged.stock = 0 AND product.source_stock > 0"


def limits_of(partner: Partner) -> Feeds:
    """Return the limits for a partner's files: its own where it has one, else the shop's."""
    shops = THRESHOLDS.feeds
    own = {field.name: getattr(partner, field.name, None) for field in fields(shops)}
    return replace(shops, **{name: value for name, value in own.items() if value is not None})


@dataclass(frozen=True)
class Effect:
    """What would become of a partner's products: numbers of rows."""

    staged: int
    known: int  # products that the partner already has in the shop
    repriced: int
    jumped: int  # price changed by at least the factor
    sold_out: int  # stock goes from some to none

    def share(self, count: int) -> float:
        """Return the share of known products; 0 if they are too few for it to mean anything."""
        return count / self.known if self.known >= THRESHOLDS.feeds.least_products else 0.0


def effect_of(ingestion: Ingestion) -> Effect:
    """Count what the staged rows would change."""
    factor = limits_of(ingestion.partner).most_price_factor
    sums = f"""SELECT count(*), count(product.id),
    coalesce(sum(CASE WHEN staged.price <> product.price THEN 1 ELSE 0 END), 0),
    coalesce(sum(CASE WHEN {_JUMPED} THEN 1 ELSE 0 END), 0),
    coalesce(sum(CASE WHEN {SOLD_OUT} THEN 1 ELSE 0 END), 0) {COMPARED}"""
    with joined_as_a_whole(), connection.cursor() as cursor:
        cursor.execute(sums, [factor, factor, ingestion.partner.slug, ingestion.pk])
        return Effect(*map(int, cursor.fetchone()))


def findings(ingestion: Ingestion, effect: Effect, rows_before: int) -> list[str]:
    """Return what exceeds a limit, in sentences. `rows_before`: of the last accepted file."""
    limits = limits_of(ingestion.partner)
    good = effect.staged
    total = good + ingestion.rejected
    shares = (
        (
            ingestion.rejected / total if total else 0.0,
            limits.most_rejects_ratio,
            f"{ingestion.rejected:,} of {total:,} rows are rejected",
        ),
        (
            effect.share(effect.repriced),
            limits.most_repriced_ratio,
            f"{effect.repriced:,} of {effect.known:,} products change their price",
        ),
        (
            effect.share(effect.sold_out),
            limits.most_sold_out_ratio,
            f"{effect.sold_out:,} of {effect.known:,} products sell out",
        ),
    )
    found = [
        f"{words} ({100 * share:.0f} %, normally at most {100 * most:.0f} %)."
        for share, most, words in shares
        if share > most
    ]
    if effect.jumped:
        prices = "1 price changes" if effect.jumped == 1 else f"{effect.jumped:,} prices change"
        found.append(f"{prices} by a factor of {limits.most_price_factor:g} or more.")
    if good < limits.least_rows_ratio * rows_before:
        found.append(
            f"The file has {good:,} good rows; the last one had {rows_before:,} (normally at least "
            f"{100 * limits.least_rows_ratio:.0f} % of them)."
        )
    return found

"""Change the stock: a product's row and its ledger, always in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F, ProtectedError, RestrictedError

from products.models import HeldStock, Product, StockMovement
from products.offers import FIELDS, Taken, changed_since, compared, missing, slug_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from products.offers import Change, Offer

Reason = StockMovement.Reason
# The most staff can set: far below the column's limit, so that returns always fit.
MAX_STOCK = 1_000_000_000


class SoldOutError(Exception):
    """Too little stock of a product; nothing was reserved."""

    def __init__(self, product_id: int) -> None:
        super().__init__(f"product {product_id} is sold out")
        self.product_id = product_id


@transaction.atomic
def stock_reserve(*, quantities: Mapping[int, int], reference: str) -> None:
    """Take stock for a sale, all or nothing: `quantities` by product id.

    Rows are updated by ascending product id, so that concurrent sales cannot deadlock. Raises
    SoldOutError for the first product with too little stock.
    """
    for product_id, quantity in sorted(quantities.items()):
        # The database checks the condition under the row lock.
        updated = Product.objects.filter(pk=product_id, is_active=True, stock__gte=quantity).update(
            stock=F("stock") - quantity
        )
        if not updated:
            raise SoldOutError(product_id)
    StockMovement.objects.bulk_create(
        [
            StockMovement(
                product_id=product_id, quantity=-quantity, reason=Reason.SALE, reference=reference
            )
            for product_id, quantity in quantities.items()
        ]
    )


def _movements(
    quantities: Mapping[int, int], reason: StockMovement.Reason, reference: str
) -> list[StockMovement]:
    return [
        StockMovement(product_id=product_id, quantity=units, reason=reason, reference=reference)
        for product_id, units in quantities.items()
    ]


@transaction.atomic
def stock_release(*, quantities: Mapping[int, int], reference: str) -> None:
    """Release the stock of an order that was not paid: `quantities` by product id."""
    for product_id, quantity in sorted(quantities.items()):
        Product.objects.filter(pk=product_id).update(stock=F("stock") + quantity)
    StockMovement.objects.bulk_create(_movements(quantities, Reason.RELEASE, reference))


@transaction.atomic
def stock_put_back(
    *, quantities: Mapping[int, int], reason: StockMovement.Reason, reference: str
) -> None:
    """Put units on sale again that were sold: `quantities` by product id, CANCEL or RETURN.

    What is in a flash sale now is held until it ends: its buyers compete for what was put on sale
    for it. Products are locked by ascending id, those without units too: the caller may write
    units of them off.
    """
    for product_id, quantity in sorted(quantities.items()):
        product = Product.objects.select_for_update().get(pk=product_id)
        if not quantity:
            continue
        row = {"product": product, "quantity": quantity, "reason": reason, "reference": reference}
        if product.flash_active:
            HeldStock.objects.create(**row)
        else:
            Product.objects.filter(pk=product_id).update(stock=F("stock") + quantity)
            StockMovement.objects.create(**row)


@transaction.atomic
def stock_write_off(*, quantities: Mapping[int, int], reference: str) -> None:
    """Record units that came back, or should have, and are not sold again: damaged or lost ones.

    They come in and go out in the ledger; the stock on sale does not change.
    """
    returned = {product_id: units for product_id, units in quantities.items() if units}
    losses = {product_id: -units for product_id, units in returned.items()}
    StockMovement.objects.bulk_create(
        [
            *_movements(returned, Reason.RETURN, reference),
            *_movements(losses, Reason.LOSS, reference),
        ]
    )


def stock_put_held() -> int:
    """Put units on sale that were held during a flash sale, once it has ended; return how many."""
    held = HeldStock.objects.order_by("product_id")
    product_ids = list(held.values_list("product_id", flat=True).distinct())
    return sum(_put_held(product_id) for product_id in product_ids)


@transaction.atomic
def _put_held(product_id: int) -> int:
    # Whoever adds held units, or puts them in, has locked their product.
    product = Product.objects.select_for_update().get(pk=product_id)
    if product.flash_active:
        return 0
    rows = list(HeldStock.objects.filter(product=product).order_by("pk"))
    units = sum(row.quantity for row in rows)
    Product.objects.filter(pk=product_id).update(stock=F("stock") + units)
    StockMovement.objects.bulk_create(
        StockMovement(
            product=product, quantity=row.quantity, reason=row.reason, reference=row.reference
        )
        for row in rows
    )
    HeldStock.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return units


@transaction.atomic
def stock_set(*, product_id: int, stock: int, reason: StockMovement.Reason, reference: str) -> int:
    """Set a product's stock and return the difference.

    Raises ValueError for a negative stock.
    """
    if stock < 0:
        raise ValueError("Stock cannot be negative.")
    product = Product.objects.select_for_update().get(pk=product_id)
    change = stock - product.stock
    if change:
        Product.objects.filter(pk=product_id).update(stock=stock)
        StockMovement.objects.create(
            product_id=product_id, quantity=change, reason=reason, reference=reference
        )
    return change


@transaction.atomic
def stock_adjust(
    *, product_id: int, difference: int, reason: StockMovement.Reason, reference: str
) -> int:
    """Add `difference`, which may be negative, to a product's stock and return the new stock.

    Raises ValueError if the result would be below zero or above MAX_STOCK.
    """
    stock = Product.objects.select_for_update().get(pk=product_id).stock + difference
    if not 0 <= stock <= MAX_STOCK:
        raise ValueError(f"Stock must be from 0 to {MAX_STOCK}.")
    if difference:
        Product.objects.filter(pk=product_id).update(stock=stock)
        StockMovement.objects.create(
            product_id=product_id, quantity=difference, reason=reason, reference=reference
        )
    return stock


_OFFERED = (*FIELDS, "source_stock", "source_offered", "is_active", "stock")


@transaction.atomic
def offers_take(
    *, source: str, offers: Sequence[Offer], new_category_id: int, reference: str
) -> list[Taken]:
    """Create and update a partner's products as it says, all or none; return what became of each.

    The keys of `offers` must be different. Products are locked by ascending id. New ones without
    a category get `new_category_id`.
    """
    keys = [offer.sku for offer in offers]
    locked = Product.objects.select_for_update().filter(source=source, sku__in=keys).order_by("pk")
    known = {product.sku: product for product in locked}
    results, changed, new = [], [], []
    for offer in offers:
        product = known.get(offer.sku)
        if product is not None:
            taken = compared(product, offer, MAX_STOCK)
            if taken.result == "updated":
                for name, value in taken.after.items():
                    setattr(product, name, value)
                product.stock += taken.units
                changed.append(product)
        elif problem := missing(offer):
            taken = Taken(offer.sku, "rejected", problem=problem)
        else:
            fresh = _new_product(source, offer, new_category_id)
            values = {name: getattr(fresh, name) for name in FIELDS}
            taken = Taken(offer.sku, "created", units=fresh.stock, after=values)
            new.append(fresh)
        results.append(taken)
    _write_offers(changed, new)
    created = {product.sku: product.pk for product in new}
    for taken in results:
        taken.product_id = created.get(taken.sku, taken.product_id)
    StockMovement.objects.bulk_create(
        _movements(
            {one.product_id: one.units for one in results if one.units}, Reason.FEED, reference
        )
    )
    return results


def _new_product(source: str, offer: Offer, category_id: int) -> Product:
    """Return the product of an offer that has all that it needs; it is not saved yet."""
    values = {name: getattr(offer, name) for name in FIELDS if getattr(offer, name) is not None}
    return Product(
        source=source,
        sku=offer.sku,
        slug=slug_of(source, offer),
        stock=offer.stock or 0,
        source_stock=offer.stock,
        source_offered=offer.offered,
        is_active=offer.offered is not False,
        **{"category_id": category_id, **values},
    )


def _write_offers(changed: list[Product], new: list[Product]) -> None:
    """Write products in one statement each; the search text is computed with them."""
    Product.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["pk"],
        update_fields=[*_OFFERED, "search_text"],
    )
    Product.objects.bulk_create(new)


@transaction.atomic
def offers_take_back(*, changes: Mapping[int, Change], reference: str) -> dict[int, str]:
    """Undo what feeds changed, by product id: values return, units go, new products are deleted.

    Returns why, for each product that has changed since and was left alone.
    """
    refused: dict[int, str] = {}
    restored, units = [], {}
    for product in Product.objects.select_for_update().filter(pk__in=changes).order_by("pk"):
        change = changes[product.pk]
        if problem := changed_since(product, change, MAX_STOCK):
            refused[product.pk] = problem
        elif change.is_new:
            if not _delete(product):
                refused[product.pk] = "It was ordered since."
        else:
            for name, value in change.before.items():
                setattr(product, name, value)
            product.stock -= change.units
            units[product.pk] = -change.units
            restored.append(product)
    _write_offers(restored, [])
    moved = {key: count for key, count in units.items() if count}
    StockMovement.objects.bulk_create(_movements(moved, Reason.FEED, reference))
    return refused


def _delete(product: Product) -> bool:
    """Delete a product with its movements, unless something needs it; return whether it is gone."""
    try:
        with transaction.atomic():
            product.delete()
    except (ProtectedError, RestrictedError):
        return False
    return True

"""Change the stock: a product's row and its ledger, always in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, ProtectedError, RestrictedError
from django.utils import timezone

from products.models import HeldStock, Product, StockMovement
from products.offers import Taken, changed_since, compared, created, missing, slug_of
from products.search import SOURCES, search_text
from retail.db.bulk import insert_rows, update_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from products.offers import Change, Offer

Reason = StockMovement.Reason
# The most staff can set: far below the column's limit, so that returns always fit.
MAX_STOCK = 1_000_000_000
_IMAGE = Product().image


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


# Columns of a new product, in the order of `_new_product`.
_NEW = (
    *("source", "sku", "slug", "name", "description", "category_id", "ean", "price", "currency"),
    *("image", "stock", "source_stock", "source_offered", "is_active", "search_text"),
)


@transaction.atomic(savepoint=False)
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
                changed.append((product, taken.after, taken.units))
        elif problem := missing(offer):
            taken = Taken(offer.sku, "rejected", problem=problem)
        else:
            taken = created(offer, new_category_id)
            new.append((offer, taken))
        results.append(taken)
    _update(changed)
    _create(source, new)
    _move({one.product_id: one.units for one in results}, reference)
    return results


def _create(source: str, new: Sequence[tuple[Offer, Taken]]) -> None:
    """Insert new products, and give what became of their offers their keys."""
    insert_rows(Product, _NEW, [_new_product(source, offer, taken) for offer, taken in new])
    rows = Product.objects.filter(source=source, sku__in=[offer.sku for offer, _ in new])
    keys = dict(rows.order_by().values_list("sku", "pk")) if new else {}
    for offer, taken in new:
        taken.product_id = keys[offer.sku]


def _new_product(source: str, offer: Offer, taken: Taken) -> tuple[Any, ...]:
    name, description = taken.after["name"], taken.after["description"]
    return (
        *(source, offer.sku, slug_of(source, offer), name, description),
        *(taken.after["category_id"], taken.after["ean"], offer.price, settings.CURRENCY),
        *(_IMAGE, taken.units, offer.stock, offer.offered, offer.offered is not False),
        search_text(name, description),
    )


def _update(changed: Sequence[tuple[Product, Mapping[str, Any], int]]) -> None:
    """Set values of locked products, and add units to their stock: a statement for each kind."""
    kinds: dict[tuple[str, ...], list[list[Any]]] = {}
    for product, values, units in changed:
        for name, value in values.items():
            setattr(product, name, value)
        product.stock += units
        columns = [*values, *(["stock"] if units else [])]
        if not values.keys().isdisjoint(SOURCES):
            columns.append("search_text")
        row = [product.pk, *(getattr(product, name) for name in columns)]
        kinds.setdefault(tuple(columns), []).append(row)
    for names, rows in kinds.items():
        update_rows(Product, names, rows)


def _move(units: Mapping[int, int], reference: str) -> None:
    now = timezone.now()
    insert_rows(
        StockMovement,
        ("product", "quantity", "reason", "reference", "created_at"),
        [
            (product_id, quantity, Reason.FEED.value, reference, now)
            for product_id, quantity in units.items()
            if quantity
        ],
    )


@transaction.atomic(savepoint=False)
def offers_take_back(*, changes: Mapping[int, Change], reference: str) -> dict[int, str]:
    """Undo what feeds changed, by product id: values return, units go, new products are deleted.

    Returns why, for each product that has changed since and was left alone.
    """
    refused: dict[int, str] = {}
    restored = []
    for product in Product.objects.select_for_update().filter(pk__in=changes).order_by("pk"):
        change = changes[product.pk]
        if problem := changed_since(product, change, MAX_STOCK):
            refused[product.pk] = problem
        elif change.is_new:
            if not _delete(product):
                refused[product.pk] = "It was ordered since."
        else:
            restored.append((product, change.before, -change.units))
    _update(restored)
    _move({product.pk: units for product, _, units in restored}, reference)
    return refused


def _delete(product: Product) -> bool:
    """Delete a product with its movements, unless something needs it; return whether it is gone."""
    try:
        with transaction.atomic():
            product.delete()
    except (ProtectedError, RestrictedError):
        return False
    return True

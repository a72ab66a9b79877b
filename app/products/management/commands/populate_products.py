"""Create the sample products: 4 categories, 10 products. Safe to run again.

With --clear, products without orders are deleted, unless they are in a cart; other sample products
are reset, and all others hidden. With --restock, sample products are refilled to their initial
stock. Safe while customers order.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction
from django.db.models import ProtectedError, Q
from django.template.defaultfilters import pluralize
from django.utils import timezone

from products.management.samples import CATEGORIES, SAMPLES, Sample
from products.models import Category, Product, StockMovement
from products.services import stock_set

if TYPE_CHECKING:
    from argparse import ArgumentParser

FLASH_SALE = timedelta(hours=24)
SLUGS = {sample.slug for sample in SAMPLES}
MAX_NAMES = 20  # of products that are no samples, in the output


def _products(count: int, kind: str = "") -> str:
    return f"{count} {kind}product{pluralize(count)}"


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--clear", action="store_true", help="delete and recreate products")
        parser.add_argument("--restock", action="store_true", help="refill the sample products")

    @transaction.atomic
    def handle(self, *args: object, clear: bool, restock: bool, **options: object) -> None:
        # One run at a time; then, as everywhere, lock products by id before changing any of them
        # (docs/checkout.md).
        list(Category.objects.select_for_update(no_key=True).order_by("pk"))
        products = Product.objects.all() if clear else Product.objects.filter(slug__in=SLUGS)
        locked = list(products.select_for_update().order_by("pk"))
        if clear:
            self._clear(locked)
        categories = {
            name: Category.objects.filter(Q(slug=slug) | Q(name=name)).first()
            or Category.objects.get_or_create(slug=slug, defaults={"name": name})[0]
            for name, slug in CATEGORIES.items()
        }
        created = sum(self._create(sample, categories, reset=clear) for sample in SAMPLES)
        refilled = sum(self._refill(sample) for sample in SAMPLES) if restock and not clear else 0
        self.stdout.write(
            f"{len(CATEGORIES)} categories, {len(SAMPLES)} sample products "
            f"({created} new{f', {refilled} restocked' if restock and not clear else ''})."
        )

    def _create(self, sample: Sample, categories: dict[str, Category], *, reset: bool) -> bool:
        """Create a sample product, or reset an existing one; return whether it is new."""
        now = timezone.now()
        fields = {
            "category": categories[sample.category],
            "name": sample.name,
            "description": sample.description,
            "image": f"products/{sample.slug}.svg",
            "price": sample.price,
            "currency": settings.CURRENCY,
            "is_active": True,
            "flash_price": sample.flash_price,
            "flash_starts_at": now if sample.flash_price else None,
            "flash_ends_at": now + FLASH_SALE if sample.flash_price else None,
        }
        product, created = Product.objects.get_or_create(slug=sample.slug, defaults=fields)
        if reset and not created:
            Product.objects.filter(pk=product.pk).update(**fields)
        elif product.flash_ends_at and sample.flash_price and product.flash_ends_at <= now:
            # The samples always include a flash sale: restart one that has ended.
            Product.objects.filter(pk=product.pk).update(
                flash_starts_at=now, flash_ends_at=now + FLASH_SALE
            )
        if created or reset:
            stock_set(
                product_id=product.pk,
                stock=sample.stock,
                reason=StockMovement.Reason.SEED,
                reference="populate_products",
            )
        return created

    def _refill(self, sample: Sample) -> bool:
        """Raise a sample product to its initial stock; return whether it had less."""
        product = Product.objects.get(slug=sample.slug)
        if product.stock >= sample.stock:
            return False
        stock_set(
            product_id=product.pk,
            stock=sample.stock,
            reason=StockMovement.Reason.SEED,
            reference="populate_products --restock",
        )
        return True

    def _clear(self, products: list[Product]) -> None:
        """Delete locked products that nothing refers to, hide the rest, and print what was done."""
        deleted: list[Product] = []
        hidden: list[Product] = []
        for product in products:
            try:
                with transaction.atomic():
                    product.delete()
                deleted.append(product)
            except ProtectedError:
                product.is_active = False
                product.save(update_fields=["is_active"])
                hidden.append(product)
        others = [product for product in hidden if product.slug not in SLUGS]
        self.stdout.write(
            f"Deleted {_products(len(deleted))} in no order or cart, "
            f"reset {_products(len(hidden) - len(others), 'sample ')} and "
            f"hid {_products(len(others), 'other ')} in one."
        )
        own = [product for product in deleted if product.slug not in SLUGS]
        for done, rows in (("Deleted", own), ("Hid", others)):
            if rows:
                names = ", ".join(product.name for product in rows[:MAX_NAMES])
                more = len(rows) - MAX_NAMES
                self.stdout.write(f"{done}: {names}{f' and {more} more' if more > 0 else ''}.")

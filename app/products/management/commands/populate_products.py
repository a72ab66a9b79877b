"""Put the sample products on sale: 4 categories, 10 products. Safe to repeat.

--clear starts over: products that no order refers to are deleted, sample products are reset, and
the others are hidden. --restock fills the sample products up to the stock they began with.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction
from django.db.models import ProtectedError, Q
from django.utils import timezone

from products.management.samples import CATEGORIES, SAMPLES, Sample
from products.models import Category, Product, StockMovement
from products.services import stock_set

if TYPE_CHECKING:
    from argparse import ArgumentParser

FLASH_SALE = timedelta(hours=24)


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--clear", action="store_true", help="delete and recreate")
        parser.add_argument("--restock", action="store_true", help="fill up the sample products")

    @transaction.atomic
    def handle(self, *args: object, clear: bool, restock: bool, **options: object) -> None:
        if clear:
            self._clear()
        categories = {
            name: Category.objects.filter(Q(slug=slug) | Q(name=name)).first()
            or Category.objects.create(slug=slug, name=name)
            for name, slug in CATEGORIES.items()
        }
        made = [sample for sample in SAMPLES if self._make(sample, categories, reset=clear)]
        filled = sum(self._fill(sample) for sample in SAMPLES) if restock and not clear else 0
        self.stdout.write(
            f"{len(CATEGORIES)} categories, {len(SAMPLES)} sample products "
            f"({len(made)} new{f', {filled} restocked' if restock and not clear else ''})."
        )

    def _make(self, sample: Sample, categories: dict[str, Category], *, reset: bool) -> bool:
        """Make one sample product, or with `reset` put it back as it began; say if it is new."""
        now = timezone.now()
        facts = {
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
        product, made = Product.objects.get_or_create(slug=sample.slug, defaults=facts)
        if reset and not made:
            Product.objects.filter(pk=product.pk).update(**facts)
        elif product.flash_ends_at and sample.flash_price and product.flash_ends_at <= now:
            # Last day's flash sale is over: the samples always have one to show.
            Product.objects.filter(pk=product.pk).update(
                flash_starts_at=now, flash_ends_at=now + FLASH_SALE
            )
        if made or reset:
            stock_set(
                product_id=product.pk,
                stock=sample.stock,
                reason=StockMovement.Reason.SEED,
                reference="populate_products",
            )
        return made

    def _fill(self, sample: Sample) -> bool:
        """Bring a sample product up to its stock; say whether it had less."""
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

    def _clear(self) -> None:
        """Delete what no order refers to; hide the rest, and say how many of each."""
        deleted = hidden = 0
        for product in Product.objects.all():
            try:
                with transaction.atomic():
                    product.delete()
                deleted += 1
            except ProtectedError:
                product.is_active = False
                product.save(update_fields=["is_active"])
                hidden += 1
        Category.objects.filter(products__isnull=True).delete()
        samples = Product.objects.filter(slug__in=[sample.slug for sample in SAMPLES]).count()
        self.stdout.write(
            f"Deleted {deleted} products that no order refers to; reset {samples} sample products "
            f"that orders refer to; hid {hidden - samples} other products that orders refer to."
        )

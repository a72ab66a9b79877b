"""Convert all prices to another currency: change_currency USD --rate 1.08.

Run it before the shop is restarted with the new CURRENCY. Prices are multiplied by the rate and
rounded to hundredths. Orders that are already placed keep their currency.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.template.defaultfilters import pluralize

from products.models import Product

if TYPE_CHECKING:
    from argparse import ArgumentParser

HUNDREDTH = Decimal("0.01")


def _rate(text: str) -> Decimal:
    try:
        rate = Decimal(text)
    except InvalidOperation:
        rate = Decimal(0)
    if not (rate.is_finite() and rate > 0):
        raise CommandError(f"--rate {text} must be a number above 0.")
    return rate


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("currency", choices=settings.CURRENCIES)
        parser.add_argument("--rate", required=True, help="new prices are the old times this")

    @transaction.atomic
    def handle(self, *args: object, currency: str, rate: str, **options: object) -> None:
        factor, changed = _rate(rate), 0
        others = Product.objects.exclude(currency=currency).order_by("pk")
        for product in others.select_for_update():
            product.price = (product.price * factor).quantize(HUNDREDTH, ROUND_HALF_UP)
            if product.flash_price is not None:
                flash_price = product.flash_price * factor
                product.flash_price = flash_price.quantize(HUNDREDTH, ROUND_HALF_UP)
            product.currency = currency
            try:
                product.full_clean(exclude=["category", "image", "slug"])
            except ValidationError as error:
                reasons = " ".join(error.messages)
                raise CommandError(f"{product} can't cost {product.price}: {reasons}") from error
            product.save(update_fields=["price", "flash_price", "currency"])
            changed += 1
        self.stdout.write(f"Prices of {changed} product{pluralize(changed)} are now in {currency}.")
        if currency != settings.CURRENCY:
            self.stdout.write(f"Set CURRENCY={currency} and restart the shop.")

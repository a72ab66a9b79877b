"""Partners, how their files are read, and the keys with which they send them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from partner_feeds.reading.formats import names as formats
from partner_feeds.reading.mappings import MAPPINGS
from partner_feeds.reading.options import DECIMAL_SIGNS, ENCODINGS, Limits, Options
from products.models import Category
from retail.clocks import MARGIN

# Times that change with a field, also if only that is saved.
_FOLLOWS = {
    "fetch_every_minutes": "next_fetch_at",
    "fresh_within_minutes": "promised_at",
    "is_active": "promised_at",
}
_MOST_MEGABYTES = Limits.packed_bytes // 1024**2
_MONTH_MINUTES = 31 * 24 * 60
_SHARE = [MinValueValidator(0.0), MaxValueValidator(1.0)]
_OWN_LIMIT = "a share from 0 to 1; empty: the shop's limit"


def _is_name(column: object) -> bool:
    return isinstance(column, str) and bool(column.strip())


class Partner(models.Model):
    """Who delivers products, and how its files are read."""

    class Absent(models.TextChoices):
        """What it means that a product is not in a file."""

        KEEP = "keep", "nothing"
        SOLD_OUT = "sold_out", "the partner has none"

    name = models.CharField(max_length=60, unique=True)
    slug = models.SlugField(max_length=40, unique=True)
    is_active = models.BooleanField(default=True, help_text="feeds are taken in")
    format = models.CharField(max_length=10, default="csv")
    mapping = models.CharField(max_length=20, default="plain", help_text="what the columns are")
    columns = models.JSONField(
        default=dict,
        blank=True,
        help_text='columns with other names, by field: {"sku": "item_sku", "price": "cost"}',
    )
    encoding = models.CharField(
        max_length=20, blank=True, help_text="empty: UTF-8, or what an XML file declares"
    )
    decimal_sign = models.CharField(max_length=1, default=".")
    delimiter = models.CharField(max_length=1, blank=True, help_text="empty: found by the header")
    currency_symbol = models.CharField(max_length=4, blank=True, help_text="allowed in prices")
    ignore_case = models.BooleanField(
        default=False, help_text="keys that differ only by case are the same"
    )
    negative_stock_is_zero = models.BooleanField(
        default=False, help_text="otherwise rows with a stock below 0 are rejected"
    )
    absent = models.CharField(max_length=8, choices=Absent.choices, default=Absent.KEEP)
    category = models.ForeignKey(
        Category,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="of new products whose category the shop does not have",
    )
    address = models.CharField(
        max_length=500, blank=True, help_text="where its file is fetched, https://…"
    )
    allow_http = models.BooleanField(default=False, help_text="the address may be http://…")
    fetch_every_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(5), MaxValueValidator(_MONTH_MINUTES)],
        help_text="empty: the file is fetched only when staff ask for it",
    )
    next_fetch_at = models.DateTimeField(null=True, blank=True, editable=False)
    fetch_requested_at = models.DateTimeField(null=True, blank=True, editable=False)
    fresh_within_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(5), MaxValueValidator(_MONTH_MINUTES)],
        help_text="how often the partner delivers at least; longer without a file is an alert",
    )
    promised_at = models.DateTimeField(
        default=timezone.now, editable=False, help_text="from when its next file is expected"
    )
    most_rows = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(Limits.rows)],
        help_text=f"rows of a file; longer files are refused; empty: {Limits.rows:,}",
    )
    most_megabytes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(_MOST_MEGABYTES)],
        help_text=f"size of a file; larger files are refused; empty: {_MOST_MEGABYTES}",
    )
    most_rejects_ratio = models.FloatField(
        "most rejected rows", null=True, blank=True, validators=_SHARE, help_text=_OWN_LIMIT
    )
    most_repriced_ratio = models.FloatField(
        "most changed prices", null=True, blank=True, validators=_SHARE, help_text=_OWN_LIMIT
    )
    most_price_factor = models.FloatField(
        "least factor of a price that holds a file",
        null=True,
        blank=True,
        validators=[MinValueValidator(1.01), MaxValueValidator(1000.0)],
        help_text="of one price, up or down, from 1.01; empty: the shop's limit",
    )
    most_sold_out_ratio = models.FloatField(
        "most products that sell out",
        null=True,
        blank=True,
        validators=_SHARE,
        help_text=_OWN_LIMIT,
    )
    least_rows_ratio = models.FloatField(
        "fewest rows", null=True, blank=True, validators=_SHARE, help_text=_OWN_LIMIT
    )

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **options: Any) -> None:
        """Save it, with the times that follow from what has changed."""
        before, now = Partner.objects.filter(pk=self.pk).first(), timezone.now()
        if before and before.fetch_every_minutes != self.fetch_every_minutes:
            # A first schedule is due at once; a new interval counts from now.
            self.next_fetch_at = self.fetch_after(now) if before.fetch_every_minutes else None
        if before is None or self.promise != before.promise:
            # So does a promise that is new, changed, or made again after a pause.
            self.promised_at = now
        if (named := options.get("update_fields")) is not None:
            options["update_fields"] = {
                *named,
                *(_FOLLOWS[name] for name in set(named) & _FOLLOWS.keys()),
            }
        super().save(*args, **options)

    @property
    def promise(self) -> tuple[bool, int | None]:
        """Whether files are expected, and within how many minutes."""
        return self.is_active, self.fresh_within_minutes

    def fetch_after(self, time: datetime) -> datetime | None:
        """Return when its file is fetched next, once it was at `time`; None without a schedule."""
        every = self.fetch_every_minutes
        return time + timedelta(minutes=every) if every else None

    def is_due(self, now: datetime) -> bool:
        """Return whether its file is to be fetched. A time that is too far ahead is a wrong one."""
        at, latest = self.next_fetch_at, self.fetch_after(now)
        return latest is not None and (at is None or at <= now or at > latest + MARGIN)

    def clean(self) -> None:
        """Refuse settings that no file could be read with."""
        choices = {
            "format": formats(),
            "mapping": sorted(MAPPINGS),
            "encoding": ["", *ENCODINGS],
            "decimal_sign": list(DECIMAL_SIGNS),
        }
        errors = {
            name: f"Choose one of {', '.join(filter(None, allowed))}."
            for name, allowed in choices.items()
            if getattr(self, name) not in allowed
        }
        if errors:
            raise ValidationError(errors)
        if not isinstance(self.columns, dict) or not all(map(_is_name, self.columns.values())):
            raise ValidationError({"columns": "It must be an object of fields and column names."})
        if problem := self._wrong_address():
            raise ValidationError({"address": problem})
        try:
            self.options()
        except ValueError as error:
            raise ValidationError(str(error)) from error

    def _wrong_address(self) -> str:
        if not self.address:
            every = self.fetch_every_minutes
            return "A file that is fetched regularly needs an address." if every else ""
        schemes = ("http", "https") if self.allow_http else ("https",)
        try:
            parts = urlsplit(self.address)
            usable = parts.scheme in schemes and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if usable and self.address.isascii() and self.address.isprintable():
            return ""
        return f"Enter an address that begins with {' or '.join(f'{one}://' for one in schemes)}."

    def options(self) -> Options:
        """Return how its files are read. Raises ValueError for wrong columns."""
        mapping = MAPPINGS[self.mapping]
        if self.columns:
            own = {field: (column,) for field, column in self.columns.items()}
            mapping = replace(mapping, name=self.slug, fields={**mapping.fields, **own})
        return Options(
            format=self.format,
            mapping=mapping,
            currency=settings.CURRENCY,
            encoding=self.encoding,
            decimal_sign=self.decimal_sign,
            delimiter=self.delimiter,
            symbol=self.currency_symbol,
            negative_stock_is_zero=self.negative_stock_is_zero,
            limits=Limits(
                rows=self.most_rows or Limits.rows,
                packed_bytes=(self.most_megabytes or _MOST_MEGABYTES) * 1024**2,
            ),
        )

    def read_as(self) -> str:
        """Return a digest of all that decides what a file means."""
        names = (
            *("format", "mapping", "columns", "encoding", "decimal_sign", "delimiter"),
            *("currency_symbol", "ignore_case", "negative_stock_is_zero", "absent", "category_id"),
        )
        settings_now = [getattr(self, name) for name in names]
        return hashlib.sha256(json.dumps(settings_now, sort_keys=True).encode()).hexdigest()

    def key(self, sku: str) -> str:
        """Return the key under which a product is stored."""
        return sku.casefold() if self.ignore_case else sku


class PushKey(models.Model):
    """A key with which a partner sends its files. Only its digest is stored."""

    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, related_name="push_keys")
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="SHA-256")
    start = models.CharField(max_length=12, editable=False, help_text="tells keys apart")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.start}…"

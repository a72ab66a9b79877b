"""Orders (sales), their lines and their payments."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from products.models import Product
from retail.references import random_reference


def new_reference() -> str:
    """Return a random reference of an order."""
    return random_reference("VT")


def new_payment_key() -> str:
    """Return a new idempotency key for a charge."""
    return uuid.uuid4().hex


def gateway_name() -> str:
    """Return the name of the gateway that charges new payments."""
    return settings.GATEWAY_NAME


class Sale(models.Model):
    """An order. Its status changes only along SALE_TRANSITIONS."""

    class Status(models.TextChoices):
        """Status of an order."""

        PENDING = "PENDING", "Waiting for payment"
        CONFIRMED = "CONFIRMED", "Confirmed"
        FAILED = "FAILED", "Payment failed"
        CANCELLED = "CANCELLED", "Cancelled"

    class Kind(models.TextChoices):
        """Type of checkout: a flash sale is charged in the background."""

        CART = "cart"
        FLASH = "flash"

    reference = models.CharField(max_length=20, unique=True, default=new_reference, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="sales"
    )
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    kind = models.CharField(max_length=5, choices=Kind.choices, default=Kind.CART)
    total = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3)
    idempotency_key = models.UUIDField()
    delivery_name = models.CharField(max_length=120)
    delivery_address = models.TextField(max_length=500)
    email = models.EmailField(
        blank=True,
        db_default="",  # for what an older version inserts
        help_text="where e-mails about the order go; empty: to the account's address",
    )
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    confirmation_sent_at = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(
        null=True, blank=True, help_text="when a paid order was cancelled, before it was dispatched"
    )

    class Meta:
        ordering: ClassVar = ["-created_at"]
        permissions: ClassVar = [("dispatch_sale", "Can dispatch orders")]
        indexes: ClassVar = [
            models.Index(fields=["user", "-created_at"], name="sale_history"),
            models.Index(
                fields=["finished_at"],
                name="sale_to_dispatch",
                condition=Q(status="CONFIRMED", dispatched_at=None, cancelled_at=None),
            ),
            models.Index(
                fields=["finished_at"],
                name="sale_confirmed",
                condition=Q(status="CONFIRMED"),
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "idempotency_key"], name="sale_once_a_form"),
            models.CheckConstraint(condition=Q(total__gte=0), name="sale_total_not_negative"),
            models.CheckConstraint(
                condition=Q(status="CONFIRMED") | Q(dispatched_at=None, cancelled_at=None),
                name="sale_dispatched_or_cancelled_only_if_paid",
            ),
            models.CheckConstraint(
                condition=Q(dispatched_at=None) | Q(cancelled_at=None),
                name="sale_not_dispatched_and_cancelled",
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def state(self) -> str:
        """What became of the order, for people: its status, or what followed its confirmation."""
        if self.cancelled_at is not None:
            return "refunded"
        return "dispatched" if self.dispatched_at is not None else self.status.lower()

    @property
    def state_label(self) -> str:
        """`state` in words."""
        words = {"refunded": "Cancelled, money back", "dispatched": "Dispatched"}
        return words.get(self.state) or str(self.get_status_display())


class SaleItem(models.Model):
    """A line of an order, at the price paid."""

    sale = models.ForeignKey(Sale, on_delete=models.CASCADE, related_name="items")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="sale_items")
    product_name = models.CharField(max_length=120)
    unit_price = models.DecimalField(max_digits=10, decimal_places=2)
    quantity = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(quantity__gte=1), name="sale_item_quantity_positive"
            ),
            models.CheckConstraint(
                condition=Q(unit_price__gte=0), name="sale_item_price_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product_name}"

    @property
    def line_total(self) -> Decimal:
        """Price of the whole line, in the sale's currency."""
        return self.unit_price * self.quantity


class Payment(models.Model):
    """A payment of an order. Its status changes only along PAYMENT_TRANSITIONS."""

    class Status(models.TextChoices):
        """Status of a payment. UNKNOWN: the gateway gave no answer, so it may have been charged."""

        PENDING = "PENDING", "Pending"
        COMPLETED = "COMPLETED", "Completed"
        FAILED = "FAILED", "Failed"
        UNKNOWN = "UNKNOWN", "Unknown"

    class Failure(models.TextChoices):
        """Why a payment failed."""

        DECLINED = "declined", "the card was declined"
        CANCELLED = "cancelled", "cancelled at the gateway"
        REJECTED = "rejected", "the gateway does not accept the charge"
        UNSENT = "unsent", "the charge was never sent"

    sale = models.ForeignKey(Sale, on_delete=models.PROTECT, related_name="payments")
    key = models.CharField(max_length=64, unique=True, default=new_payment_key, editable=False)
    token = models.CharField(max_length=64, help_text="identifies the card at the gateway")
    gateway = models.CharField(
        max_length=100,
        default=gateway_name,
        db_default="",  # for what an older version inserts
        blank=True,
        help_text="GATEWAY_NAME of the gateway that may know it; empty: the present one",
    )
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    failure_reason = models.CharField(max_length=9, choices=Failure.choices, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(
        null=True, blank=True, help_text="since when a charge may have been sent"
    )
    settled_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(help_text="when the worker claims it, if unsettled")
    refund_reserved = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        default=Decimal(0),
        db_default=Decimal(0),  # the reservation does not name it
        help_text="refunded, or on its way back",
    )
    disputed_at = models.DateTimeField(
        null=True, blank=True, help_text="since when the buyer's bank disputes the charge"
    )

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["due_at"],
                name="payment_due",
                condition=Q(status__in=["PENDING", "UNKNOWN"]),
            ),
            models.Index(
                fields=["settled_at"],
                name="payment_settled",
                condition=Q(settled_at__isnull=False),
            ),
            models.Index(
                fields=["id"], name="payment_refunded", condition=Q(refund_reserved__gt=0)
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gte=0), name="payment_amount_not_negative"),
            models.CheckConstraint(
                condition=Q(status="FAILED") | Q(failure_reason=""),
                name="payment_reason_only_if_failed",
            ),
            models.CheckConstraint(
                condition=~Q(failure_reason="unsent") | Q(sent_at=None),
                name="payment_unsent_only_if_never_sent",
            ),
            models.UniqueConstraint(
                fields=["sale"], condition=Q(status="COMPLETED"), name="sale_paid_once"
            ),
            models.CheckConstraint(
                condition=Q(refund_reserved=0)
                | Q(status="COMPLETED", refund_reserved__gt=0, refund_reserved__lte=F("amount")),
                name="payment_refunds_within_amount",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}, {self.get_status_display()}"


SALE_TRANSITIONS: dict[str, frozenset[str]] = {
    Sale.Status.PENDING: frozenset(
        {Sale.Status.CONFIRMED, Sale.Status.FAILED, Sale.Status.CANCELLED}
    ),
    Sale.Status.CONFIRMED: frozenset(),
    Sale.Status.FAILED: frozenset(),
    Sale.Status.CANCELLED: frozenset(),
}
PAYMENT_TRANSITIONS: dict[str, frozenset[str]] = {
    Payment.Status.PENDING: frozenset(
        {Payment.Status.COMPLETED, Payment.Status.FAILED, Payment.Status.UNKNOWN}
    ),
    Payment.Status.UNKNOWN: frozenset({Payment.Status.COMPLETED, Payment.Status.FAILED}),
    Payment.Status.COMPLETED: frozenset(),
    Payment.Status.FAILED: frozenset(),
}


def sources_not_allowed(table: dict[str, frozenset[str]], target: str) -> list[str]:
    """Return the states that cannot change to `target`."""
    return [state for state, targets in table.items() if target not in targets]

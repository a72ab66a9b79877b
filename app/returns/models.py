"""Returns of goods, and refunds of money."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from orders.models import Payment, Sale, SaleItem
from retail.references import random_reference


def new_return_reference() -> str:
    """Return a random reference of a return."""
    return random_reference("RT")


def new_refund_reference() -> str:
    """Return a random reference of a refund, by which the gateway's ledger is searched."""
    return random_reference("RF")


def new_refund_key() -> str:
    """Return a new idempotency key for a refund."""
    return uuid.uuid4().hex


class Return(models.Model):
    """Goods that a customer sends back. Its status changes only along RETURN_TRANSITIONS."""

    class Status(models.TextChoices):
        """Status of a return."""

        REQUESTED = "requested", "Waiting for approval"
        APPROVED = "approved", "Waiting for the parcel"
        REJECTED = "rejected", "Rejected"
        EXPIRED = "expired", "Not sent back"
        RECEIVED = "received", "Received"
        CLOSED = "closed", "Closed"

    class Reason(models.TextChoices):
        """Why the goods go back."""

        CHANGED_MIND = "changed_mind", "I changed my mind"
        DAMAGED = "damaged", "It arrived damaged"
        WRONG_ITEM = "wrong_item", "It is not what I ordered"
        NOT_AS_DESCRIBED = "not_as_described", "It is not as described"
        LATE = "late", "It arrived too late"
        LOST_PARCEL = "lost_parcel", "It never arrived"
        OTHER = "other", "Another reason"

    reference = models.CharField(
        max_length=20, unique=True, default=new_return_reference, editable=False
    )
    sale = models.ForeignKey(Sale, on_delete=models.PROTECT, related_name="returns")
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.REQUESTED)
    reason = models.CharField(max_length=16, choices=Reason.choices)
    note = models.CharField(max_length=500, blank=True, help_text="the customer's words")
    answer = models.CharField(max_length=500, blank=True, help_text="staff's words to the customer")
    form_key = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    requested_at = models.DateTimeField(default=timezone.now)
    decided_at = models.DateTimeField(null=True, blank=True, help_text="approved or rejected")
    received_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["requested_at"],
                name="return_open",
                condition=Q(status__in=["requested", "approved", "received"]),
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status="requested", decided_at=None)
                | Q(status="expired")
                | Q(status__in=("approved", "rejected", "received", "closed"))
                & Q(decided_at__isnull=False),
                name="return_decided_or_requested",
            ),
            models.CheckConstraint(
                condition=Q(status__in=("received", "closed"), received_at__isnull=False)
                | ~Q(status__in=("received", "closed")) & Q(received_at=None),
                name="return_received_at_some_time",
            ),
        ]

    def __str__(self) -> str:
        return self.reference


class ReturnItem(models.Model):
    """Units of one line of an order in a return."""

    of_return = models.ForeignKey(Return, on_delete=models.CASCADE, related_name="items")
    sale_item = models.ForeignKey(SaleItem, on_delete=models.PROTECT, related_name="return_items")
    requested = models.PositiveIntegerField()
    approved = models.PositiveIntegerField(default=0)
    sellable = models.PositiveIntegerField(default=0, help_text="received, as good as new")
    damaged = models.PositiveIntegerField(default=0, help_text="received, not to be sold again")
    lost = models.PositiveIntegerField(default=0, help_text="on the way; written off")
    value = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        default=0,
        help_text="what was paid for the units received or lost",
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["of_return", "sale_item"], name="return_item_once"),
            models.CheckConstraint(
                condition=Q(requested__gte=1) & Q(requested__gte=F("approved")),
                name="return_item_approved_within_requested",
            ),
            models.CheckConstraint(
                condition=Q(approved__gte=F("sellable") + F("damaged") + F("lost")),
                name="return_item_received_within_approved",
            ),
            models.CheckConstraint(condition=Q(value__gte=0), name="return_item_value_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.requested} x {self.sale_item.product_name}"

    @property
    def received(self) -> int:
        """Units that arrived."""
        return self.sellable + self.damaged

    @property
    def refundable(self) -> int:
        """Units whose price is owed to the customer."""
        return self.sellable + self.damaged + self.lost


class Refund(models.Model):
    """Money that goes back to a customer. Its status changes only along REFUND_TRANSITIONS.

    The row is committed before the gateway is asked. While it is not settled, money is owed.
    """

    class Status(models.TextChoices):
        """Status of a refund."""

        REQUESTED = "REQUESTED", "Requested"
        UNKNOWN = "UNKNOWN", "No answer yet"
        PENDING = "PENDING", "On its way"
        SUCCEEDED = "SUCCEEDED", "Paid out"
        FAILED = "FAILED", "Failed"
        CANCELLED = "CANCELLED", "Cancelled"
        NEEDS_HUMAN = "NEEDS_HUMAN", "Needs a person"

    class Reason(models.TextChoices):
        """Why money goes back."""

        RETURN = "return", "return"
        CANCELLATION = "cancellation", "order cancelled"
        GOODWILL = "goodwill", "goodwill"
        LOST_PARCEL = "lost_parcel", "lost parcel"

    class Failure(models.TextChoices):
        """Why a refund failed."""

        GATEWAY = "gateway", "the gateway could not pay it out"
        DISPUTED = "disputed", "the charge is disputed"
        EXCEEDS = "exceeds", "the gateway has refunded too much already"
        REJECTED = "rejected", "the gateway does not accept it"
        HUMAN = "human", "staff found that it was not paid out"

    class Method(models.TextChoices):
        """How the money goes back."""

        GATEWAY = "gateway", "to the card"
        MANUAL = "manual", "another way"

    reference = models.CharField(
        max_length=20, unique=True, default=new_refund_reference, editable=False
    )
    key = models.CharField(max_length=64, unique=True, default=new_refund_key, editable=False)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    of_return = models.ForeignKey(
        Return, null=True, blank=True, on_delete=models.PROTECT, related_name="refunds"
    )
    replaces = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="replaced_by"
    )
    form_key = models.UUIDField(unique=True, null=True, blank=True, editable=False)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=12, choices=Reason.choices)
    message = models.CharField(max_length=500, blank=True, help_text="words to the customer")
    method = models.CharField(max_length=7, choices=Method.choices, default=Method.GATEWAY)
    status = models.CharField(max_length=11, choices=Status.choices, default=Status.REQUESTED)
    failure = models.CharField(max_length=8, choices=Failure.choices, blank=True)
    attempts = models.PositiveIntegerField(default=0, help_text="requests sent to the gateway")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="empty: the shop itself",
    )
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    first_sent_at = models.DateTimeField(
        null=True, blank=True, help_text="since when the gateway may know it"
    )
    due_at = models.DateTimeField(default=timezone.now, help_text="when the worker claims it")
    settled_at = models.DateTimeField(
        null=True, blank=True, help_text="since when nothing of it is owed"
    )

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["due_at"],
                name="refund_due",
                condition=Q(status__in=["REQUESTED", "UNKNOWN", "PENDING"]),
            ),
            models.Index(
                fields=["created_at"], name="refund_unsettled", condition=Q(settled_at=None)
            ),
            models.Index(
                fields=["settled_at"], name="refund_paid", condition=Q(status="SUCCEEDED")
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_of_something"),
            models.CheckConstraint(
                condition=Q(status__in=("FAILED", "CANCELLED"))
                | Q(status="SUCCEEDED", settled_at__isnull=False)
                | Q(status__in=("REQUESTED", "UNKNOWN", "PENDING", "NEEDS_HUMAN"), settled_at=None),
                name="refund_settled_when_paid",
            ),
            models.CheckConstraint(
                condition=Q(failure="") | Q(status__in=("FAILED", "CANCELLED")),
                name="refund_failure_only_if_failed",
            ),
            models.UniqueConstraint(
                fields=["of_return"],
                condition=Q(replaces=None),
                name="refund_of_return_once",
            ),
            models.UniqueConstraint(
                fields=["payment"],
                condition=Q(reason="cancellation", replaces=None),
                name="refund_of_cancellation_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reference}: {self.amount} {self.currency}"

    @property
    def is_owed(self) -> bool:
        """Whether it failed or was cancelled, and nothing replaces it."""
        return self.status in ENDED and self.settled_at is None

    def earlier(self) -> list[Refund]:
        """Return the failed refunds that it replaces, newest first."""
        rows: list[Refund] = []
        before = self.replaces
        while before is not None:
            rows.append(before)
            before = before.replaces
        return rows


# What was not paid out, and gives back its part of the payment's limit.
ENDED = (Refund.Status.FAILED, Refund.Status.CANCELLED)


class GatewayPosition(models.Model):
    """How far the worker has read a gateway's list of changes."""

    gateway = models.CharField(max_length=100, primary_key=True)
    change = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.gateway}: {self.change}"

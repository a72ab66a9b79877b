"""Carts and their items."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from products.models import Product

MAX_QUANTITY = 10


class Cart(models.Model):
    """A customer's cart, or a visitor's (no user), whose session stores its id."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True
    )
    # Two first clicks at once must find the same cart.
    visitor = models.CharField(  # noqa: DJ001 - unique, and most carts have none
        max_length=64, unique=True, null=True, editable=False, help_text="hash of the session's key"
    )
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"Cart {self.pk}"


class CartItem(models.Model):
    """A product in a cart, with its quantity."""

    cart = models.ForeignKey(Cart, on_delete=models.CASCADE, related_name="items")
    # A product in a cart is hidden instead of deleted: its buyer sees that it is no longer on sale.
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    quantity = models.PositiveSmallIntegerField()
    form_key = models.UUIDField(null=True, editable=False, help_text="form that added to it last")
    form_sent_at = models.DateTimeField(null=True, editable=False, help_text="when it was sent")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cart", "product"], name="cart_product_once"),
            models.CheckConstraint(
                condition=Q(quantity__gte=1, quantity__lte=MAX_QUANTITY),
                name="cart_quantity_in_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x product {self.product_id}"

"""Carts in the admin, read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin

from cart.models import Cart, CartItem
from retail.admin import ReadOnlyAdmin, ReadOnlyInline

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest


class CartItemInline(ReadOnlyInline):
    model = CartItem
    fields = ("product", "quantity")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CartItem]:
        return super().get_queryset(request).select_related("product")


@admin.register(Cart)
class CartAdmin(ReadOnlyAdmin):
    list_display = ("id", "user", "updated_at")
    list_select_related = ("user",)
    inlines = (CartItemInline,)


@admin.register(CartItem)
class CartItemAdmin(ReadOnlyAdmin):
    list_display = ("cart", "product", "quantity")
    list_select_related = ("cart", "product")

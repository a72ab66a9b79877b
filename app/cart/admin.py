"""Carts in the admin: to look at."""

from django.contrib import admin

from cart.models import Cart, CartItem
from retail.admin import ReadOnlyAdmin


@admin.register(Cart)
class CartAdmin(ReadOnlyAdmin):
    list_display = ("id", "user", "updated_at")
    list_select_related = ("user",)


@admin.register(CartItem)
class CartItemAdmin(ReadOnlyAdmin):
    list_display = ("cart", "product", "quantity")
    list_select_related = ("cart", "product")

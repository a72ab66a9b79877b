"""Create a crowd of buyers of one product and read the results, inside the shop's processes."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.db.models import Sum
from django.utils import timezone

from accounts.sessions import SessionStore
from cart.models import Cart, CartItem
from orders.models import Sale, SaleItem
from products.models import Product
from tests.audits import oversold_units
from tests.support import make_product, unbalanced_products

BACKEND = "accounts.backends.AccountBackend"


def create(count: int, stock: int, *, flash: bool) -> dict[str, Any]:
    """Create a product and logged-in customers, each with one unit in the cart."""
    now = timezone.now()
    sale = {"flash_price": 7, "flash_starts_at": now, "flash_ends_at": now + timedelta(days=1)}
    product = make_product("Lantern", "10.00", stock, **(sale if flash else {}))
    users = User.objects.bulk_create(
        User(username=f"{product.pk}-{number}", password="!") for number in range(count)
    )
    carts = Cart.objects.bulk_create(Cart(user=user) for user in users)
    CartItem.objects.bulk_create(CartItem(cart=cart, product=product, quantity=1) for cart in carts)
    return {"product": product.pk, "sessions": [_session(user) for user in users]}


def _session(user: User) -> str:
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = BACKEND
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def results(product_id: int) -> dict[str, Any]:
    """Return the product's stock and ledger, and its buyers' orders, payments and carts."""
    product = Product.objects.get(pk=product_id)
    sales = Sale.objects.filter(items__product=product)
    items = SaleItem.objects.filter(product=product, sale__status="CONFIRMED")
    bought = set(sales.values_list("user_id", flat=True))
    kept = CartItem.objects.filter(product=product, quantity=1)
    return {
        "stock": product.stock,
        "orders": dict(Counter(sales.values_list("status", flat=True))),
        "kinds": sorted(set(sales.values_list("kind", flat=True))),
        "paid": sales.filter(payments__status="COMPLETED").count(),
        "units": items.aggregate(units=Sum("quantity"))["units"],
        "carts_kept": kept.exclude(cart__user__in=bought).count(),
        "carts_of_buyers": kept.filter(cart__user__in=bought).count(),
        "ledger": dict(
            product.movements.values_list("reason").annotate(Sum("quantity")).order_by("reason")
        ),
        "references": sorted(sales.values_list("reference", flat=True)),
        "unbalanced": unbalanced_products(),
        "oversold": oversold_units(),
    }

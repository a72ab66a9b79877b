"""Makes the buyers of `benchmarks.support.buyers`: runs in a process of its own, inside the shop.

Sets of buyers come in and go out as JSON.
"""

from __future__ import annotations

import json
import sys
import uuid
from datetime import timedelta
from urllib.parse import urlencode

import django

django.setup()

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.utils import timezone

from accounts.models import Session, UserProfile
from accounts.sessions import SessionStore, stored_key
from benchmarks.support.buyers import Wanted
from benchmarks.support.captured import reservation
from benchmarks.support.client import post
from cart.models import Cart, CartItem
from cart.selectors import CartLine, fingerprint
from payments.breaker import is_closed
from products.models import Category, Product, StockMovement
from products.services import stock_set

_NAME, _ADDRESS = "Sam Buyer", "1 Long Street, Town"


def _products(wanted: Wanted) -> list[Product]:
    now, flash = timezone.now(), wanted.flash
    category, _ = Category.objects.get_or_create(name="Benchmark", slug="benchmark")
    products = Product.objects.bulk_create(
        Product(
            category=category,
            name=f"{wanted.name} {number}",
            slug=f"{wanted.name}-{number}",
            price=20,
            flash_price=10 if flash else None,
            flash_starts_at=now if flash else None,
            flash_ends_at=now + timedelta(days=1) if flash else None,
        )
        for number in range(wanted.products)
    )
    for product in products:
        stock_set(
            product_id=product.pk,
            stock=wanted.stock,
            reason=StockMovement.Reason.SEED,
            reference="benchmark",
        )
    return list(Product.objects.filter(pk__in=[one.pk for one in products]).order_by("pk"))


def _users(wanted: Wanted) -> list[User]:
    """Make customers who have bought before: the shop knows where they live."""
    users = User.objects.bulk_create(
        User(username=f"{wanted.name}-{number}", password=f"!{uuid.uuid4().hex}")
        for number in range(wanted.buyers)
    )
    UserProfile.objects.bulk_create(
        UserProfile(user=user, full_name=_NAME, address=_ADDRESS) for user in users
    )
    return users


def _sessions(users: list[User]) -> list[str]:
    """Log the users in; return their session keys."""
    store, expires = SessionStore(), timezone.now() + timedelta(days=1)
    keys = [uuid.uuid4().hex for _ in users]
    Session.objects.bulk_create(
        Session(
            session_key=stored_key(key),
            expire_date=expires,
            user_id=user.pk,
            session_data=store.encode(
                {
                    SESSION_KEY: str(user.pk),
                    BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[-1],
                    HASH_SESSION_KEY: user.get_session_auth_hash(),
                }
            ),
        )
        for key, user in zip(keys, users, strict=True)
    )
    return keys


def _make(wanted: Wanted) -> dict[str, object]:
    products, users = _products(wanted), _users(wanted)
    carts = Cart.objects.bulk_create(Cart(user=user) for user in users)
    chosen = [products[number % len(products)] for number in range(len(users))]
    CartItem.objects.bulk_create(
        CartItem(cart=cart, product=product, quantity=1)
        for cart, product in zip(carts, chosen, strict=True)
    )
    made = {
        "products": [product.pk for product in products],
        "users": [user.pk for user in users],
        "requests": [],
        "statement": "",
    }
    lines = {one.pk: [CartLine(one, 1, one.current_price)] for one in products}
    if wanted.by_statement:
        return {**made, "statement": reservation(users[0].pk, lines[products[0].pk])}
    shown = {pk: fingerprint(line) for pk, line in lines.items()}
    requests = [
        _order(session, shown[product.pk]).decode()
        for session, product in zip(_sessions(users), chosen, strict=True)
    ]
    return {**made, "requests": requests}


def _order(session: str, shown: str) -> bytes:
    secret = uuid.uuid4().hex
    fields = {
        "csrfmiddlewaretoken": secret,
        "delivery_name": _NAME,
        "delivery_address": _ADDRESS,
        "payment_token": "tok_good",
        "idempotency_key": uuid.uuid4(),
        "lines_shown": shown,
    }
    return post("/checkout/", urlencode(fields), f"sessionid={session}; csrftoken={secret}")


if __name__ == "__main__":
    is_closed()  # makes the breaker's row, which a first order would make
    print(json.dumps([_make(Wanted(**one)) for one in json.loads(sys.argv[1])]))

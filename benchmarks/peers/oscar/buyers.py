"""Customers of django-oscar one press of "Place order" before their order.

Run with oscar's own Python: `buyers.py '[{"name": …, "buyers": …, "stock": …}, …]'` prints for each
set the product's id and the requests, as JSON. The session holds what oscar's earlier pages put
there: the basket is in the database, the address in the customer's address book, the way of
shipping chosen.
"""

import json
import sys
import uuid
from datetime import timedelta

import django

django.setup()

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from oscar.apps.address.models import Country, UserAddress
from oscar.apps.basket.models import Basket, Line
from oscar.apps.catalogue.models import Product, ProductClass
from oscar.apps.partner.models import Partner, StockRecord

from benchmarks.support.client import post


def stock(name, number):
    """Put a product on sale and return its stock record."""
    kind, _ = ProductClass.objects.get_or_create(name="Thing")  # ships, and tracks its stock
    partner, _ = Partner.objects.get_or_create(name="House", code="house")
    product = Product.objects.create(title=name, product_class=kind, upc=name)
    return StockRecord.objects.create(
        product=product, partner=partner, partner_sku=name, price=10, num_in_stock=number
    )


def addresses(users):
    """Give each user an address in the address book; return them in order."""
    country, _ = Country.objects.get_or_create(
        iso_3166_1_a2="DE",
        defaults={"printable_name": "Germany", "name": "Germany", "is_shipping_country": True},
    )
    made = [
        UserAddress(
            user=user, first_name="Sam", last_name="Buyer", line1="1 Long Street", line4="Town",
            postcode="12345", country=country,
        )
        for user in users
    ]  # fmt: skip
    for one in made:
        one.hash = one.generate_hash()
        one.search_text = one.join_fields(one.search_fields, separator=" ")
    return UserAddress.objects.bulk_create(made)


def fill_baskets(users, record):
    """Put one piece into each user's basket."""
    baskets = Basket.objects.bulk_create(Basket(owner=user) for user in users)
    Line.objects.bulk_create(
        Line(
            basket=basket, product=record.product, stockrecord=record, quantity=1,
            line_reference=f"{record.product_id}_{record.pk}",
            price_currency=record.price_currency, price_excl_tax=10, price_incl_tax=10,
        )
        for basket in baskets
    )  # fmt: skip


def log_in(users, books):
    """Return a session key for each user."""
    store, expires = SessionStore(), timezone.now() + timedelta(days=1)
    sessions = [
        Session(
            session_key=uuid.uuid4().hex,
            expire_date=expires,
            session_data=store.encode(
                {
                    SESSION_KEY: str(user.pk),
                    BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[-1],
                    HASH_SESSION_KEY: user.get_session_auth_hash(),
                    "checkout_data": {
                        "shipping": {"user_address_id": book.pk, "method_code": "free-shipping"}
                    },
                }
            ),
        )
        for user, book in zip(users, books, strict=True)
    ]
    return [one.session_key for one in Session.objects.bulk_create(sessions)]


def request(session):
    """Return the order-placing request."""
    secret = uuid.uuid4().hex
    fields = f"csrfmiddlewaretoken={secret}&action=place_order"
    cookies = f"sessionid={session}; csrftoken={secret}"
    return post("/checkout/preview/", fields, cookies).decode()


def make(name, buyers, stock_number):
    """Make a set of buyers."""
    record = stock(name, stock_number)
    users = User.objects.bulk_create(
        User(username=f"{name}-{number}", email=f"{name}-{number}@example.com",
             password=f"!{uuid.uuid4().hex}")
        for number in range(buyers)
    )  # fmt: skip
    fill_baskets(users, record)
    sessions = log_in(users, addresses(users))
    return {"product": record.product_id, "requests": [request(one) for one in sessions]}


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps([make(one["name"], one["buyers"], one["stock"]) for one in asked]))

"""One of several processes that buy, give back, restock and change carts as fast as they can.

    python -m tests.postgres.attempts <seed> <JSON: product ids, customer ids, attempts, staff>

It does `THREADS` x attempts deeds, beginning when it is told to, and prints how often each came
out how. The gateway is a stand-in that declines every fourth charge.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import django

django.setup()

from django.db import OperationalError, connections  # noqa: E402 - settings first
from django.db.models import Q  # noqa: E402

from cart.models import CartItem  # noqa: E402
from cart.services import cart_add, cart_of_user, cart_set  # noqa: E402
from orders import services  # noqa: E402
from payments import gateway  # noqa: E402
from payments.gateway import Answer, Charge  # noqa: E402
from products.models import StockMovement  # noqa: E402
from products.services import SoldOutError, stock_adjust, stock_set  # noqa: E402
from tests.support import order_of  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 8
STAFF = StockMovement.Reason.ADMIN
REFUSALS = (SoldOutError, services.CartChangedError, services.StockConflictError, ValueError)


class Hand:
    """One thread's: what it does is drawn, who does it with which products too."""

    def __init__(
        self, seed: str, products: list[int], customers: list[int], attempts: int, *, staff: bool
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 - not about secrets
        self.products, self.customers, self.attempts = products, customers, attempts
        self.deeds = [self._order] * 3 + [self._change_cart] + [self._staff] * staff
        self.came: Counter[str] = Counter()

    def work(self) -> Counter[str]:
        """Do all attempts; return what came of them."""
        try:
            for _ in range(self.attempts):
                self.came[self._told(self.random.choice(self.deeds))] += 1
        finally:
            connections.close_all()
        return self.came

    @staticmethod
    def _told(deed: Callable[[], str]) -> str:
        try:
            return deed()
        except REFUSALS as refusal:
            return type(refusal).__name__
        except OperationalError as error:
            return type(error.__cause__).__name__

    def _order(self) -> str:
        """Fill the cart anew, which another tab may do or undo at the same time, and order it."""
        from django.contrib.auth.models import User  # noqa: PLC0415 - beside its one use

        customer = User.objects.get(pk=self.random.choice(self.customers))
        cart = cart_of_user(user_id=customer.pk)
        for left_over in cart.items.all():
            cart_set(cart=cart, product_id=left_over.product_id, quantity=0)
        for product in self.random.sample(self.products, self.random.randint(1, 3)):
            cart_add(cart=cart, product_id=product, quantity=self.random.randint(1, 2))
        order = order_of(customer, key=uuid.UUID(int=self.random.getrandbits(128), version=4))
        if not order.lines:
            return "empty"
        self.random.shuffle(order.lines)
        if self.random.random() < 0.5:
            for line in order.lines:
                line.product.stock = 1000  # the buyer looked before all the others came
        gone = any(line.product.stock < line.quantity for line in order.lines)
        try:
            return services.sale_checkout(order=order).status
        except SoldOutError:
            if gone:
                return "seen sold out"
            raise

    def _change_cart(self) -> str:
        items = CartItem.objects.filter(Q(cart__user__in=self.customers)).select_related("cart")
        if item := items.order_by("?").first():
            quantity = self.random.randint(0, 3)
            cart_set(cart=item.cart, product_id=item.product_id, quantity=quantity)
        return "cart changed"

    def _staff(self) -> str:
        product, units = self.random.choice(self.products), self.random.randint(1, 4)
        if self.random.random() < 0.3:
            stock_set(product_id=product, stock=5 * units, reason=STAFF, reference="counted")
        else:
            stock_adjust(product_id=product, difference=units, reason=STAFF, reference="filled")
        return "stock changed"


def charge(wanted: Charge) -> Answer:
    """Answer like a gateway, by the key, so that the same charge has the same answer."""
    return Answer.DECLINED if int(wanted.key, 16) % 4 == 0 else Answer.APPROVED


def main(seed: str, given: str) -> None:
    logging.disable()
    gateway.charge = charge
    facts = json.loads(given)
    hands = [Hand(f"{seed}.{number}", **facts) for number in range(THREADS)]
    print("ready", flush=True)  # noqa: T201 - read by the test
    sys.stdin.readline()
    with ThreadPoolExecutor(THREADS) as pool:
        came = sum(pool.map(Hand.work, hands), Counter[str]())
    print(json.dumps(came), flush=True)  # noqa: T201
    os._exit(0)  # nothing of what telemetry still has to write is asked for


if __name__ == "__main__":
    main(*sys.argv[1:])

"""One of several load processes that order, restock and change carts as fast as they can.

    python -m tests.postgres.attempts <seed> <JSON: product ids, customer ids, attempts, staff>

Starts when it reads a line, runs `THREADS` x attempts random actions and prints a count of their
outcomes. The gateway is replaced by one that declines every fourth charge.
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


class LoadThread:
    """One thread's random actions, with random customers and products."""

    def __init__(
        self, seed: str, products: list[int], customers: list[int], attempts: int, *, staff: bool
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 - not for security
        self.products, self.customers, self.attempts = products, customers, attempts
        self.actions = [self._order] * 3 + [self._change_cart] + [self._change_stock] * staff
        self.outcomes: Counter[str] = Counter()

    def run(self) -> Counter[str]:
        """Run all attempts; return the counts of outcomes."""
        try:
            for _ in range(self.attempts):
                self.outcomes[self._outcome(self.random.choice(self.actions))] += 1
        finally:
            connections.close_all()
        return self.outcomes

    @staticmethod
    def _outcome(action: Callable[[], str]) -> str:
        try:
            return action()
        except REFUSALS as refusal:
            return type(refusal).__name__
        except OperationalError as error:
            return type(error.__cause__).__name__

    def _order(self) -> str:
        """Refill the cart, which other threads may change at the same time, and order it."""
        from django.contrib.auth.models import User  # noqa: PLC0415 - next to its only use

        customer = User.objects.get(pk=self.random.choice(self.customers))
        cart = cart_of_user(user_id=customer.pk)
        for item in cart.items.all():
            cart_set(cart=cart, product_id=item.product_id, quantity=0)
        for product in self.random.sample(self.products, self.random.randint(1, 3)):
            cart_add(cart=cart, product_id=product, quantity=self.random.randint(1, 2))
        order = order_of(customer, key=uuid.UUID(int=self.random.getrandbits(128), version=4))
        if not order.lines:
            return "empty"
        self.random.shuffle(order.lines)
        if self.random.random() < 0.5:
            for line in order.lines:
                line.product.stock = 1000  # an outdated read
        sold_out = any(line.product.stock < line.quantity for line in order.lines)
        try:
            return services.sale_checkout(order=order).status
        except SoldOutError:
            if sold_out:
                return "read as sold out"
            raise

    def _change_cart(self) -> str:
        items = CartItem.objects.filter(Q(cart__user__in=self.customers)).select_related("cart")
        if item := items.order_by("?").first():
            quantity = self.random.randint(0, 3)
            cart_set(cart=item.cart, product_id=item.product_id, quantity=quantity)
        return "cart changed"

    def _change_stock(self) -> str:
        product, units = self.random.choice(self.products), self.random.randint(1, 4)
        if self.random.random() < 0.3:
            stock_set(product_id=product, stock=5 * units, reason=STAFF, reference="counted")
        else:
            stock_adjust(product_id=product, difference=units, reason=STAFF, reference="restocked")
        return "stock changed"


def charge(request: Charge) -> Answer:
    """Answer by the key, so that the same charge always has the same answer."""
    return Answer.DECLINED if int(request.key, 16) % 4 == 0 else Answer.APPROVED


def main(seed: str, arguments: str, kind: type[LoadThread] = LoadThread) -> None:
    logging.disable()
    gateway.charge = charge
    options = json.loads(arguments)
    threads = [kind(f"{seed}.{number}", **options) for number in range(THREADS)]
    print("ready", flush=True)  # noqa: T201 - read by the test
    sys.stdin.readline()
    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = sum(pool.map(kind.run, threads), Counter[str]())
    print(json.dumps(outcomes), flush=True)  # noqa: T201
    os._exit(0)  # skip flushing telemetry


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

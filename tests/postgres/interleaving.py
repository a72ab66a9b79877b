"""Two who meet at a moment of the test's choosing, each in a thread and connection of their own.

A statement cannot be stopped from outside. But it can be made to wait: one holds the rows, the
other runs into them, PostgreSQL says that it waits, and only then does the first one end.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connection, connections, transaction

from cart.models import CartItem
from orders import reservation_sql
from orders.models import Payment, Sale, SaleItem, new_payment_key
from orders.reservation import reserve
from products.models import Product, StockMovement
from products.selectors import unbalanced_products
from products.services import stock_adjust

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from orders.order import CheckoutRequest

PATIENCE = 30  # seconds after which a test gives up; nothing is asserted about speed


class Someone(threading.Thread):
    """Does `work`, with a stop on the way if somewhere in it `stop()` is called.

    `result` is what the work returned or raised.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.work = work
        self.result: Any = None
        self.backend = 0  # PostgreSQL's process that serves this connection
        self.stopped, self._go_on = threading.Event(), threading.Event()

    def run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self.backend = cursor.fetchone()[0]
            self.result = self.work()
        except Exception as error:  # noqa: BLE001 - what was raised is a result here
            self.result = error
        finally:
            connections.close_all()

    def reached(self) -> None:
        """Wait until the stop is reached; the work must not end before it."""
        while self.is_alive() and not self.stopped.wait(0.01):
            pass
        assert self.stopped.is_set(), self.result

    def stop(self) -> None:
        """Wait here, the first time, until the other one is where the test wants them."""
        if not self.stopped.is_set():
            self.stopped.set()
            assert self._go_on.wait(PATIENCE)

    def go_on(self) -> None:
        """Let the work end, and wait until it has."""
        self._go_on.set()
        self.join(PATIENCE)
        assert not self.is_alive()

    def waits_for(self, other: Someone) -> bool:
        """Whether PostgreSQL says so."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s = ANY(pg_blocking_pids(%s))", [other.backend, self.backend])
            return bool(cursor.fetchone()[0])


def stop() -> None:
    """Stop whoever is at work here, if it is one of the two."""
    if isinstance(me := threading.current_thread(), Someone):
        me.stop()


def unfinished(work: Callable[[], Any], *, commits: bool = True) -> Someone:
    """Return someone who stops when all is written, and then commits, or rolls it back."""

    def do() -> Any:
        with transaction.atomic():
            result = work()
            stop()
            transaction.set_rollback(not commits)
        return result

    return Someone(do)


def stopping_before(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, work: Callable[[], Any]
) -> Someone:
    """Return someone who stops in the middle of `work`: before it calls `owner.name`."""
    original = getattr(owner, name)

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is someone:
            someone.stop()
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, call)
    someone = Someone(work)
    return someone


class Met(NamedTuple):
    """What came of it for each, and whether the second one had to wait for the first."""

    first: Any
    second: Any
    waited: bool


def meet(first: Someone, second: Callable[[], Any]) -> Met:
    """Have `second` come while `first` has stopped; once it waits or has ended, `first` goes on."""
    first.start()
    other = Someone(second)
    try:
        first.reached()
        other.start()
        until = time.monotonic() + PATIENCE
        while other.is_alive() and not (waited := other.waits_for(first)):
            assert time.monotonic() < until
            time.sleep(0.005)
    finally:
        first.go_on()
    with contextlib.suppress(RuntimeError):  # never started: what went wrong is on its way
        other.join(PATIENCE)
    assert not other.is_alive()
    return Met(first.result, other.result, waited)


def books() -> dict[str, Any]:
    """Return all that matters: stock, orders by customer and what they took, carts.

    Every order must have its payment, and every product the movements that its stock is the sum of.
    """
    assert unbalanced_products() == []
    assert list(Payment.objects.values_list("sale_id", flat=True).order_by("sale_id")) == list(
        Sale.objects.values_list("pk", flat=True).order_by("pk")
    )
    orders: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for item in SaleItem.objects.select_related("sale__user").order_by("sale_id", "product_name"):
        line = (item.sale.status, item.product_name, item.quantity)
        orders[item.sale.user.username].append(line)
    carts: dict[str, dict[str, int]] = defaultdict(dict)
    for held in CartItem.objects.select_related("cart__user", "product"):
        carts[held.cart.user.username][held.product.name] = held.quantity  # type: ignore[union-attr]
    return {
        "stock": dict(Product.objects.order_by("pk").values_list("name", "stock")),
        "orders": dict(orders),
        "carts": dict(carts),
    }


def reserving(order: CheckoutRequest) -> Sale:
    return reserve(order, new_payment_key())[0]


def staff(product: Product, difference: int) -> int:
    """Change a product's stock as staff do."""
    reason = StockMovement.Reason.ADMIN
    return stock_adjust(
        product_id=product.pk, difference=difference, reason=reason, reference="staff"
    )


def without(monkeypatch: pytest.MonkeyPatch, part: str, instead: str = "") -> None:
    """Take a part out of the one statement."""
    assert reservation_sql._STATEMENT.count(part) == 1
    changed = reservation_sql._STATEMENT.replace(part, instead)
    monkeypatch.setattr(reservation_sql, "_STATEMENT", changed)

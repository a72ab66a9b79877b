"""Interleave two transactions at a chosen point, each in its own thread and connection.

A statement cannot be paused from outside, but it can be made to wait: the first participant holds
row locks, the second blocks on them, and the first continues once PostgreSQL reports the wait.
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
from products.services import stock_adjust
from tests.support import unbalanced_products

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from orders.order import CheckoutRequest

PATIENCE = 120  # seconds after which a test gives up; nothing is asserted about speed


class Participant(threading.Thread):
    """A thread that runs `work` and pauses where it calls `pause()`.

    `result` is what the work returned or raised.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.work = work
        self.result: Any = None
        self.backend = 0  # pid of PostgreSQL's process for this connection
        self.paused, self._resume = threading.Event(), threading.Event()

    def run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self.backend = cursor.fetchone()[0]
            self.result = self.work()
        except Exception as error:  # noqa: BLE001 - an exception is a result here
            self.result = error
        finally:
            connections.close_all()

    def wait_until_paused(self) -> None:
        """Wait for the pause; the work must not end before it."""
        while self.is_alive() and not self.paused.wait(0.01):
            pass
        assert self.paused.is_set(), self.result

    def pause(self) -> None:
        """Pause once, until the test resumes the work."""
        if not self.paused.is_set():
            self.paused.set()
            assert self._resume.wait(PATIENCE)

    def resume(self) -> None:
        """Resume the work and wait for its end."""
        self._resume.set()
        self.join(PATIENCE)
        assert not self.is_alive()

    def is_blocked_by(self, other: Participant) -> bool:
        """Whether PostgreSQL reports that this connection waits for the other's locks."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s = ANY(pg_blocking_pids(%s))", [other.backend, self.backend])
            return bool(cursor.fetchone()[0])


def pause() -> None:
    """Pause the current thread if it is a participant."""
    if isinstance(participant := threading.current_thread(), Participant):
        participant.pause()


def before_commit(work: Callable[[], Any], *, commits: bool = True) -> Participant:
    """Return a participant that pauses before it commits, or rolls back."""

    def run() -> Any:
        with transaction.atomic():
            result = work()
            pause()
            transaction.set_rollback(not commits)
        return result

    return Participant(run)


def paused_before(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, work: Callable[[], Any]
) -> Participant:
    """Return a participant that pauses in `work` before it calls `owner.name`."""
    original = getattr(owner, name)

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is participant:
            participant.pause()
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, call)
    participant = Participant(work)
    return participant


class Interleaved(NamedTuple):
    """The result of each, and whether the second had to wait for the first."""

    first: Any
    second: Any
    waited: bool


def interleave(first: Participant, second: Callable[[], Any]) -> Interleaved:
    """Run `second` while `first` is paused; resume `first` once `second` waits or has ended."""
    first.start()
    other = Participant(second)
    try:
        first.wait_until_paused()
        other.start()
        until = time.monotonic() + PATIENCE
        while other.is_alive() and not (waited := other.is_blocked_by(first)):
            assert time.monotonic() < until
            time.sleep(0.005)
    finally:
        first.resume()
    with contextlib.suppress(RuntimeError):  # never started; another exception is being raised
        other.join(PATIENCE)
    assert not other.is_alive()
    return Interleaved(first.result, other.result, waited)


def state() -> dict[str, Any]:
    """Return stock by product, order lines by customer, and carts.

    Also checks that every order has its payment and every product's movements sum to its stock.
    """
    assert unbalanced_products() == []
    assert list(Payment.objects.values_list("sale_id", flat=True).order_by("sale_id")) == list(
        Sale.objects.values_list("pk", flat=True).order_by("pk")
    )
    orders: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for sold in SaleItem.objects.select_related("sale__user").order_by("sale_id", "product_name"):
        line = (sold.sale.status, sold.product_name, sold.quantity)
        orders[sold.sale.user.username].append(line)
    carts: dict[str, dict[str, int]] = defaultdict(dict)
    for item in CartItem.objects.select_related("cart__user", "product"):
        carts[item.cart.user.username][item.product.name] = item.quantity  # type: ignore[union-attr]
    return {
        "stock": dict(Product.objects.order_by("pk").values_list("name", "stock")),
        "orders": dict(orders),
        "carts": dict(carts),
    }


def reserve_sale(order: CheckoutRequest) -> Sale:
    return reserve(order, new_payment_key())[0]


def staff(product: Product, difference: int) -> int:
    """Adjust a product's stock as staff do."""
    reason = StockMovement.Reason.ADMIN
    return stock_adjust(
        product_id=product.pk, difference=difference, reason=reason, reference="staff"
    )


def without(monkeypatch: pytest.MonkeyPatch, part: str, instead: str = "") -> None:
    """Remove or replace a part of the reservation's statement."""
    assert reservation_sql._STATEMENT.count(part) == 1
    changed = reservation_sql._STATEMENT.replace(part, instead)
    monkeypatch.setattr(reservation_sql, "_STATEMENT", changed)

"""What the shop's tests share: customers, products, a gateway that does as it is told."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.db.models import F
from prometheus_client import REGISTRY

from cart.models import CartItem
from cart.selectors import cart_lines, lines_total
from cart.services import cart_add, cart_of_user
from orders.order import CheckoutRequest
from payments.gateway import Answer, Charge, NoAnswerError
from products.models import Category, Product, StockMovement
from products.services import stock_set

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

# Sums of durations and ages are never the same twice.
_NOT_COUNTED = ("_sum", "_bucket", "_created", "_oldest_seconds", "_oldest_waiting_seconds")


def _samples() -> dict[str, float]:
    found = {}
    for family in REGISTRY.collect():
        # The queue is the tests' own; what is read from the database is asserted by itself.
        if family.name.startswith("retail_"):
            for sample in family.samples:
                if not sample.name.endswith(_NOT_COUNTED):
                    labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
                    found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


@contextmanager
def moved() -> Iterator[dict[str, float]]:
    """Yield a dict that afterwards holds each sample that changed, and by how much."""
    from retail.observability.prometheus.exposition import database_gauges  # noqa: PLC0415 - Django comes first

    database_gauges.forget()
    before = _samples()
    changes: dict[str, float] = {}
    yield changes
    database_gauges.forget()
    for name, value in _samples().items():
        if change := value - before.get(name, 0):
            changes[name] = change


def make_product(
    name: str = "Lamp", price: str = "10.00", stock: int = 10, **facts: object
) -> Product:
    """Put a product on sale, with its ledger."""
    category = Category.objects.get_or_create(name="Shelf", slug="shelf")[0]
    product = Product.objects.create(
        category=category,
        name=name,
        slug=f"{name.lower()}-{uuid.uuid4().hex[:8]}",
        price=Decimal(price),
        **facts,
    )
    stock_set(
        product_id=product.pk, stock=stock, reason=StockMovement.Reason.SEED, reference="test"
    )
    product.refresh_from_db()
    return product


def make_buyer(name: str = "buyer") -> User:
    """Make a customer; the password is "correct-horse-battery"."""
    return User.objects.create_user(name, f"{name}@example.com", "correct-horse-battery")


def fill_cart(user: User, **quantities: int) -> None:
    """Put products into a customer's cart, by `p<id>=quantity`."""
    for key, quantity in quantities.items():
        cart_add(cart=cart_of_user(user_id=user.pk), product_id=int(key[1:]), quantity=quantity)


def order_of(user: User, token: str = "tok_good", key: uuid.UUID | None = None) -> CheckoutRequest:
    """Return what the customer's checkout form would ask for now."""
    lines = cart_lines(CartItem.objects.filter(cart__user_id=user.pk))
    return CheckoutRequest(
        user_id=user.pk,
        idempotency_key=key or uuid.uuid4(),
        lines=lines,
        total=lines_total(lines),
        currency="EUR",
        delivery_name="Bea Buyer",
        delivery_address="1 Example Street",
        payment_token=token,
    )


def order_for(
    user: User, product: Product, quantity: int = 1, token: str = "tok_good"
) -> CheckoutRequest:
    """Fill the customer's cart with a product and return the order of it."""
    cart_add(cart=cart_of_user(user_id=user.pk), product_id=product.pk, quantity=quantity)
    return order_of(user, token)


def ledger(product: Product) -> list[tuple[int, str, str]]:
    """Return a product's movements after the first, oldest first: quantity, reason, reference."""
    rows = product.movements.order_by("pk").values_list("quantity", "reason", "reference")
    return list(rows)[1:]


def without_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have reservations take stock that may be gone: only the database's constraint is left."""

    def take(*, quantities: dict[int, int], reference: str) -> None:
        for product_id, quantity in quantities.items():
            Product.objects.filter(pk=product_id).update(stock=F("stock") - quantity)

    monkeypatch.setattr("orders.reservation.stock_reserve", take)  # SQLite's way
    monkeypatch.setattr("orders.reservation_sql.GUARD", "TRUE")  # PostgreSQL's way


@dataclass
class ScriptedGateway:
    """Stands in for `payments.gateway`'s calls: answers from a list, the last one for ever.

    An answer is an Answer, or an exception to raise.
    """

    answers: list[Answer | NoAnswerError] = field(default_factory=lambda: [Answer.APPROVED])
    cancels: list[Answer | NoAnswerError] = field(default_factory=lambda: [Answer.CANCELLED])
    charged: list[Charge] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    @staticmethod
    def _next(answers: list[Answer | NoAnswerError]) -> Answer:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, NoAnswerError):
            raise answer
        return answer

    def charge(self, wanted: Charge) -> Answer:
        """Answer a charge."""
        self.charged.append(wanted)
        return self._next(self.answers)

    def cancel(self, key: str) -> Answer:
        """Answer a cancellation."""
        self.cancelled.append(key)
        return self._next(self.cancels)

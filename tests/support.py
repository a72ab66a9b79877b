"""Shared helpers: customers, products, orders and a scripted payment gateway."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F, Sum
from django.db.models.functions import Coalesce
from prometheus_client import REGISTRY

from accounts.addresses import address_trust
from cart.models import CartItem
from cart.selectors import cart_lines, lines_total
from cart.services import cart_add, cart_of_user
from orders.order import CheckoutRequest
from payments.gateway import Answer, Charge, NoAnswerError
from products.models import Category, Product, StockMovement
from products.services import stock_set
from retail.mail import outbox
from retail.models import JobSuccess
from retail.observability.prometheus import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import pytest

# Sums of durations, ages and times differ between runs.
_IGNORED = (
    *("_sum", "_bucket", "_created", "_oldest_seconds", "_oldest_waiting_seconds"),
    "_timestamp_seconds",
)


def _samples() -> dict[str, float]:
    samples = {}
    for family in REGISTRY.collect():
        # Only the shop's own series.
        if family.name.startswith("retail_"):
            for sample in family.samples:
                if not sample.name.endswith(_IGNORED):
                    labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
                    samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


def migrate(*targets: tuple[str, str | None]) -> None:
    """Migrate apps to the named migrations; use it with the fixture `migrated_afterwards`."""
    MigrationExecutor(connection).migrate(list(targets))
    ContentType.objects.clear_cache()


@contextmanager
def moved() -> Iterator[dict[str, float]]:
    """Yield a dict that is filled at exit with each changed sample and its difference."""
    from retail.observability.prometheus.exposition import database_gauges  # noqa: PLC0415 - Django comes first

    database_gauges.forget()
    before = _samples()
    changes: dict[str, float] = {}
    yield changes
    database_gauges.forget()
    for name, value in _samples().items():
        if change := value - before.get(name, 0):
            changes[name] = change


def send_emails() -> int:
    """Send what is due in the outbox, as the worker does; return how many e-mails there were."""
    count = 0
    while outbox.send_next():
        count += 1
    return count


def periodic_jobs_succeeded(at: datetime) -> None:
    """Let each periodic job have its last success at this time."""
    JobSuccess.objects.all().delete()
    JobSuccess.objects.bulk_create(
        JobSuccess(task=name, at=at) for name in catalogue.PERIODIC_TASKS
    )


def make_product(
    name: str = "Lamp", price: str = "10.00", stock: int = 10, **fields: object
) -> Product:
    """Create a product with stock and its ledger."""
    category = Category.objects.get_or_create(name="Shelf", slug="shelf")[0]
    product = Product.objects.create(
        category=category,
        name=name,
        slug=f"{name.lower()}-{uuid.uuid4().hex[:8]}",
        price=Decimal(price),
        **fields,
    )
    stock_set(
        product_id=product.pk, stock=stock, reason=StockMovement.Reason.SEED, reference="test"
    )
    product.refresh_from_db()
    return product


def make_buyer(name: str = "buyer") -> User:
    """Create a customer with the password "correct-horse-battery" and a verified address."""
    user = User.objects.create_user(name, f"{name}@example.com", "correct-horse-battery")
    address_trust(user=user)
    return user


def fill_cart(user: User, **quantities: int) -> None:
    """Add products to a customer's cart, given as `p<id>=quantity`."""
    for key, quantity in quantities.items():
        cart_add(cart=cart_of_user(user_id=user.pk), product_id=int(key[1:]), quantity=quantity)


def order_of(user: User, token: str = "tok_good", key: uuid.UUID | None = None) -> CheckoutRequest:
    """Return a checkout request for the customer's cart."""
    lines = cart_lines(CartItem.objects.filter(cart__user_id=user.pk))
    return CheckoutRequest(
        user_id=user.pk,
        idempotency_key=key or uuid.uuid4(),
        lines=lines,
        total=lines_total(lines),
        delivery_name="Bea Buyer",
        delivery_address="1 Example Street",
        payment_token=token,
    )


def order_for(
    user: User, product: Product, quantity: int = 1, token: str = "tok_good"
) -> CheckoutRequest:
    """Add a product to the customer's cart and return a checkout request for the cart."""
    cart_add(cart=cart_of_user(user_id=user.pk), product_id=product.pk, quantity=quantity)
    return order_of(user, token)


def ledger(product: Product) -> list[tuple[int, str, str]]:
    """Return a product's movements after the first: quantity, reason and reference."""
    rows = product.movements.order_by("pk").values_list("quantity", "reason", "reference")
    return list(rows)[1:]


def unbalanced_products() -> list[int]:
    """Return the ids of products whose stock differs from the sum of their movements."""
    balances = Product.objects.annotate(ledger=Coalesce(Sum("movements__quantity"), 0))
    return list(balances.exclude(ledger=F("stock")).order_by("pk").values_list("pk", flat=True))


def without_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reservations skip the stock check, so that only the database's constraint is left."""

    def reserve_unchecked(*, quantities: dict[int, int], reference: str) -> None:
        for product_id, quantity in quantities.items():
            Product.objects.filter(pk=product_id).update(stock=F("stock") - quantity)

    monkeypatch.setattr("orders.reservation.stock_reserve", reserve_unchecked)  # on SQLite
    monkeypatch.setattr("orders.reservation_sql.GUARD", "TRUE")  # on PostgreSQL


@dataclass
class ScriptedGateway:
    """Replaces the calls of `payments.gateway`: returns answers from a list, repeating the last.

    An exception in the list is raised instead.
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

    def charge(self, request: Charge) -> Answer:
        """Record a charge and return its answer."""
        self.charged.append(request)
        return self._next(self.answers)

    def cancel(self, key: str) -> Answer:
        """Record a cancellation and return its answer."""
        self.cancelled.append(key)
        return self._next(self.cancels)

"""A payment that cannot be read or finished stops no other; totals fit before anything happens."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from cart.models import CartItem
from cart.selectors import cart_lines, fingerprint
from orders import recovery
from orders.models import Payment, Sale, new_payment_key
from orders.reservation import reserve
from orders.services import sale_checkout
from products.models import Product, StockMovement
from tests.retail.conftest import Lines
from tests.support import ScriptedGateway, fill_cart, make_product, order_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def payments(buyer: User, lamp: Product) -> list[Payment]:
    """Return five payments that are due, the first since the longest."""
    made = [reserve(order_for(buyer, lamp), new_payment_key())[1] for _ in range(5)]
    for number, payment in enumerate(made):
        due = timezone.now() - timedelta(seconds=60 - number)
        Payment.objects.filter(pk=payment.pk).update(due_at=due)
    return made


def make_unreadable(payment: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a row of which no payment can be made: on SQLite by an amount of 13 digits."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE orders_payment SET amount = 10999999999.89 WHERE id = %s", [payment.pk]
            )
        return
    from_db = Payment.from_db.__func__  # type: ignore[attr-defined]

    def read(cls: type[Payment], db: str, names: list[str], values: Sequence[Any]) -> Payment:
        if payment.pk in values[:1]:
            raise ArithmeticError("too many digits")
        return from_db(cls, db, names, values)  # type: ignore[no-any-return]

    monkeypatch.setattr(Payment, "from_db", classmethod(read))


def statuses() -> list[str]:
    return list(Payment.objects.order_by("pk").values_list("status", flat=True))


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_payment_that_cannot_be_read_stops_no_other_and_is_named(
    payments: list[Payment],
    scripted_gateway: ScriptedGateway,
    monkeypatch: pytest.MonkeyPatch,
    lines: Lines,
    place: int,
) -> None:
    make_unreadable(payments[place], monkeypatch)
    assert recovery.settle_due() == 4
    assert statuses() == ["PENDING" if n == place else "COMPLETED" for n in range(5)]
    [named] = [line for line in lines() if line["message"] == "event=batch.item_failed"]
    assert named["level"] == "ERROR"
    extra = named["extra"]
    assert (extra["batch"], extra["row"]) == ("orders_payment", str(payments[place].pk))
    assert recovery.settle_due() == 0  # until its lease ends


def test_a_batch_of_nothing_else_does_not_stop_the_next(
    payments: list[Payment], scripted_gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_unreadable(payments[0], monkeypatch)
    monkeypatch.setattr(recovery, "BATCH", 1)
    assert [recovery.settle_due() for _ in range(2)] == [0, 4]


def test_one_alone_that_cannot_be_finished_is_named_and_does_not_raise(
    payments: list[Payment],
    scripted_gateway: ScriptedGateway,
    monkeypatch: pytest.MonkeyPatch,
    lines: Lines,
) -> None:
    def broken(payment: Payment, *_: object, **__: object) -> None:
        if payment.pk == payments[0].pk:
            raise LookupError("broken")
        finish(payment)

    finish = recovery.finish
    monkeypatch.setattr(recovery, "BATCH", 1)
    monkeypatch.setattr(recovery, "finish", broken)
    assert recovery.settle_due() == 5
    assert statuses() == ["PENDING"] + ["COMPLETED"] * 4
    [named] = [line for line in lines() if line["message"] == "event=payment.finish_failed"]
    assert named["extra"]["order_ref"] == payments[0].sale.reference


@pytest.fixture
def treasures(buyer: User) -> list[Product]:
    """Return eleven products of which nobody can afford ten each; they are in the buyer's cart."""
    made = [make_product(f"Crown {n}", "99999999.99", 10) for n in range(11)]
    fill_cart(buyer, **{f"p{product.pk}": 10 for product in made})
    return made


def test_a_total_beyond_the_columns_is_refused_before_anything_is_reserved(
    treasures: list[Product],
    client: Client,
    buyer: User,
    scripted_gateway: ScriptedGateway,
    settings: Settings,
) -> None:
    settings.GATEWAY_MAX_AMOUNT = Decimal("9999999999.99")  # no setting can be higher
    client.force_login(buyer)
    form = {
        "delivery_name": "Bea Buyer",
        "delivery_address": "1 Example Street",
        "payment_token": "tok_good",
        "idempotency_key": str(uuid.uuid4()),
        "lines_shown": fingerprint(cart_lines(CartItem.objects.all())),
    }
    answer = client.post("/checkout/", form)
    assert answer.status_code == 409
    assert "We can&#x27;t take payments above €9,999,999,999.99." in answer.content.decode()
    assert not Sale.objects.exists()
    assert not StockMovement.objects.exclude(reason="seed").exists()
    assert CartItem.objects.count() == 11
    assert scripted_gateway.charged == []
    CartItem.objects.filter(product=treasures[0]).delete()
    form["lines_shown"] = fingerprint(cart_lines(CartItem.objects.all()))
    assert client.post("/checkout/", form).status_code == 302
    assert Sale.objects.get().total == Decimal("9999999999.00")


def test_the_highest_total_can_be_ordered_stored_and_read(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway, settings: Settings
) -> None:
    settings.GATEWAY_MAX_AMOUNT = most = Decimal("9999999999.99")
    sale_checkout(order=replace(order_for(buyer, lamp), total=most))
    assert Sale.objects.get().total == Payment.objects.get().amount == most
    for model, name in ((Sale, "total"), (Payment, "amount")):
        field: Any = model._meta.get_field(name)
        cent = Decimal(1).scaleb(-field.decimal_places)
        assert Decimal(10) ** (field.max_digits - field.decimal_places) - most == cent

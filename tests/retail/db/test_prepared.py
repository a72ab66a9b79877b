"""Handwritten statements return what the ORM returns (see also tests/postgres)."""

from datetime import UTC, datetime

import pytest
from django.db.models import Model

from orders import services
from orders.models import Payment, Sale
from payments import breaker
from payments.models import CircuitBreaker
from products.models import Product
from retail.db.prepared import Statement, columns, instance
from tests.support import ScriptedGateway, make_buyer, make_product, order_for

NAMED = Statement(
    "named",
    "SELECT id FROM products_product WHERE name = %(name)s AND stock > %(least)s",
    {"least": "integer", "name": "text"},
)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", [Product, Sale, Payment, CircuitBreaker])
def test_an_instance_equals_the_orms(model: type[Model], scripted_gateway: ScriptedGateway) -> None:
    lamp = make_product(
        flash_price="7.00",
        flash_starts_at=datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC),
        flash_ends_at=datetime(2026, 1, 2, tzinfo=UTC),
    )
    breaker.report(breaker.acquire("x"), succeeded=False)
    services.sale_checkout(order=order_for(make_buyer(), lamp))
    table = model._meta.db_table
    text = f"SELECT {columns(model, 'it')} FROM {table} it WHERE %(all)s"  # noqa: S608
    whole = Statement(table, text, {"all": "boolean"})
    instances = [instance(model, row) for row in whole.rows({"all": True})]
    expected = list(model._default_manager.all())
    assert instances == expected
    for ours, djangos in zip(instances, expected, strict=True):
        assert {**vars(ours), "_state": None} == {**vars(djangos), "_state": None}
        assert (ours._state.adding, ours._state.db) == (False, "default")


@pytest.mark.django_db
def test_parameters_are_escaped() -> None:
    lamp = make_product("a%(name)s'; --", "12.30", 5)
    make_product("Other")
    assert NAMED.rows({"name": lamp.name, "least": 4}) == [(lamp.pk,)]
    assert NAMED.rows({"name": lamp.name, "least": 5}) == []

"""Rows written in bulk are as if each had been saved by itself, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, transaction
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from products.models import Category, Product, StockMovement
from products.search import search_text
from retail.db.bulk import insert_rows, update_rows
from retail.models import Metric
from tests.support import make_product

pytestmark = pytest.mark.django_db
D = Decimal
NASTY = "tab\there, line\nbreak, \r, back\\slash \\N \\. \"quotes\" 'single' ; ü 🦊"
AT = datetime(2026, 11, 28, 1, 2, 3, 456789, tzinfo=UTC)
# PostgreSQL takes neither NUL nor surrogates.
TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30)


def values(product: Product, *columns: str) -> tuple[Any, ...]:
    return tuple(Product.objects.filter(pk=product.pk).values_list(*columns)[0])


def test_values_of_each_kind_arrive_as_they_are() -> None:
    category = Category.objects.create(name="Pans", slug="pans")
    columns = (
        *("category", "name", "slug", "description", "price", "stock", "is_active", "sku"),
        *("flash_starts_at", "source_offered", "search_text", "image", "currency"),
    )
    ends = (None, NASTY.casefold(), "products/placeholder.svg", "EUR")
    rows = [
        (category.pk, NASTY, "a", "", D("0.10"), 0, False, None, AT, *ends),
        (category.pk, "", "b", NASTY, D("99999999.99"), 7, True, "\\N", None, *ends),
    ]
    with pytest.raises(DatabaseError), transaction.atomic():  # a flash sale needs an end
        insert_rows(Product, columns, rows)
    rows[0] = (*rows[0][:8], None, *rows[0][9:])
    insert_rows(Product, columns, rows)
    assert list(Product.objects.order_by("slug").values_list(*columns)) == rows
    assert Product.objects.filter(ean="", source="", flash_price=None).count() == 2


def test_json_and_times_arrive_as_they_are() -> None:
    metadata: dict[str, Any] = {"text": NASTY, "none": None, "list": [1, 2.5, True], "empty": {}}
    insert_rows(
        Metric,
        ("metric_type", "value", "metadata", "timestamp"),
        [("error_rate", 0.1, metadata, AT), ("error_rate", -1e-9, {}, AT)],
    )
    stored = Metric.objects.order_by("pk").values_list("value", "metadata", "timestamp")
    assert list(stored) == [(0.1, metadata, AT), (-1e-9, {}, AT)]


def test_no_rows_are_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        insert_rows(Product, ("name",), [])
        update_rows(Product, ("name",), [])


def test_an_update_changes_these_columns_of_these_rows() -> None:
    first, second, other = (make_product(name=name) for name in ("Pan", "Pot", "Lid"))
    before = list(Product.objects.filter(pk=other.pk).values())
    untouched = values(first, "description", "slug", "category_id")
    update_rows(
        Product,
        ("name", "price", "is_active", "sku", "source_stock"),
        [[first.pk, NASTY, D("1.05"), False, None, 3], [second.pk, "é", D(2), True, "0012", None]],
    )
    columns = ("name", "price", "is_active", "sku", "source_stock")
    assert values(first, *columns) == (NASTY, D("1.05"), False, None, 3)
    assert values(second, *columns) == ("é", D(2), True, "0012", None)
    assert values(first, "description", "slug", "category_id") == untouched
    assert list(Product.objects.filter(pk=other.pk).values()) == before


def test_a_column_that_does_not_exist_is_an_error() -> None:
    product = make_product()
    for write in (insert_rows, update_rows):
        with pytest.raises(FieldDoesNotExist, match="has no field named 'nme'"):
            write(Product, ("nme",), [[product.pk, "x"]])


class AnyText(TestCase):
    """Whatever the text is, it is stored as it is."""

    @given(TEXTS, TEXTS)
    def test_round_trip(self, inserted: str, updated: str) -> None:
        product = make_product()
        movement = ("product", "quantity", "reason", "reference", "created_at")
        insert_rows(StockMovement, movement, [(product.pk, 5, "feed", inserted, AT)])
        assert StockMovement.objects.get(reason="feed").reference == inserted
        update_rows(
            Product,
            ("description", "search_text"),
            [[product.pk, updated, search_text(product.name, updated)]],
        )
        again = Product.objects.get(pk=product.pk)
        assert again.description == updated
        assert Product.objects.filter(search_text=again.search_text).count() == 1

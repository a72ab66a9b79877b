"""A partner, its file, and what became of it."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

from partner_feeds import intake
from partner_feeds.applying import apply_all
from partner_feeds.models import Ingestion, Partner
from products.models import Category, Product, StockMovement
from tests.support import unbalanced_products

D = Decimal
FILE = b"""sku,name,price,stock
A1,Kettle,24.90,5
A2,Pan,49.00,0
A3,Board,19.90,7
"""


def make_partner() -> Partner:
    category = Category.objects.create(name="Kitchen", slug="kitchen")
    return Partner.objects.create(name="Acme", slug="acme", category=category)


def take_in(partner: Partner, content: bytes) -> Ingestion:
    ingestion = intake.ingest(partner, io.BytesIO(content))
    if ingestion.status == "APPLYING":
        assert apply_all(ingestion)
    ingestion.refresh_from_db()
    assert unbalanced_products() == []
    return ingestion


def counts(ingestion: Ingestion) -> tuple[int, int, int, int, int]:
    return (
        *(ingestion.rows, ingestion.created, ingestion.updated, ingestion.unchanged),
        ingestion.rejected,
    )


def shelf() -> dict[str, tuple[str, Decimal, int]]:
    found = Product.objects.filter(source="acme").order_by("sku")
    return {str(one.sku): (one.name, one.price, one.stock) for one in found}


def everything() -> list[Any]:
    return [
        list(Product.objects.order_by("pk").values()),
        list(StockMovement.objects.order_by("pk").values("product", "quantity", "reason")),
    ]


def rejects(ingestion: Ingestion) -> list[tuple[int, str]]:
    return list(ingestion.rejects.order_by("line", "pk").values_list("line", "code"))

"""How PostgreSQL compares rows that were just staged, of which it has no statistics yet."""

from __future__ import annotations

import io
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from partner_feeds import gate, intake
from retail.db.reads import joined_as_a_whole
from tests.partner_feeds.taking_in import make_partner, take_in

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from partner_feeds.models import Ingestion

pytestmark = pytest.mark.django_db  # in a transaction: nobody else gathers statistics of its rows
ROWS = 1000


def file_with(price: int) -> bytes:
    rows = [f"A{number},Thing {number},{price}.00,5" for number in range(ROWS)]
    return "\n".join(["sku,name,price,stock", *rows]).encode()


@pytest.fixture
def held() -> Ingestion:
    """Return a file of which each row would triple a price."""
    partner = make_partner()
    take_in(partner, file_with(price=10))
    ingestion = intake.ingest(partner, io.BytesIO(file_with(price=30)))
    assert ingestion.status == "HELD"
    return ingestion


def compared_in_vain(ingestion: Ingestion, plan: AbstractContextManager[None]) -> int:
    """Return how many pairs of a staged row and a product were compared, and not of one key."""
    statement = (
        f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT sum(product.price - staged.price) {gate.COMPARED}"
    )
    with plan, connection.cursor() as cursor:
        cursor.execute(statement, [ingestion.partner.slug, ingestion.pk])
        nodes = [cursor.fetchone()[0][0]["Plan"]]
    for node in nodes:
        nodes += node.get("Plans", [])
    return sum(node.get("Rows Removed by Join Filter", 0) for node in nodes)


def test_a_file_is_not_compared_row_by_row_with_every_product(held: Ingestion) -> None:
    assert compared_in_vain(held, nullcontext()) > 100 * ROWS  # left to itself
    assert compared_in_vain(held, joined_as_a_whole()) == 0


def test_the_gate_and_the_desk_read_so(held: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    from partner_feeds import selectors  # noqa: PLC0415 - only its name is patched

    entered: list[str] = []
    for module in (gate, selectors):
        name = module.__name__

        def note(name: str = name) -> AbstractContextManager[None]:
            entered.append(name)
            return joined_as_a_whole()

        monkeypatch.setattr(module, "joined_as_a_whole", note)
    assert gate.effect_of(held).jumped == ROWS
    assert len(selectors.largest_price_changes(held)) == selectors.WORST
    assert entered == ["partner_feeds.gate", "partner_feeds.selectors"]


def test_loops_are_allowed_again_afterwards() -> None:
    def allowed() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW enable_nestloop")
            return str(cursor.fetchone()[0])

    with joined_as_a_whole():
        assert allowed() == "off"
    assert allowed() == "on"

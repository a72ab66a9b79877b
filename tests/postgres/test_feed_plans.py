"""How PostgreSQL compares rows that were just staged, of which it has no statistics yet."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from partner_feeds import applying, gate, intake
from partner_feeds.models import Ingestion
from retail.db.reads import joined_as_a_whole
from tests.partner_feeds.taking_in import make_partner, take_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

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


def in_vain(statement: str, parameters: Sequence[Any]) -> int:
    """Return how many pairs of a staged row and a product, not of one key, a query compares."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        nodes = [cursor.fetchone()[0][0]["Plan"]]
    for node in nodes:
        nodes += node.get("Plans", [])
    return sum(int(node.get("Rows Removed by Join Filter", 0)) for node in nodes)


def test_a_file_is_not_compared_row_by_row_with_every_product(held: Ingestion) -> None:
    statement = f"SELECT sum(product.price - staged.price) {gate.COMPARED}"
    parameters = [held.partner.slug, held.pk]
    assert in_vain(statement, parameters) > 100 * ROWS  # left to itself
    with joined_as_a_whole():
        assert in_vain(statement, parameters) == 0


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


def test_a_window_is_not_compared_row_by_row_with_every_product(held: Ingestion) -> None:
    Ingestion.objects.filter(pk=held.pk).update(status="APPLYING")
    found: list[int] = []

    def explain(execute: Callable[..., Any], sql: str, params: Any, *rest: Any) -> Any:
        if sql.startswith("DELETE") and "JOIN products_product" in sql:
            found.append(in_vain(sql[sql.index("SELECT") : sql.rindex(")")], params))
        return execute(sql, params, *rest)

    with connection.execute_wrapper(explain):
        assert len(applying.next_window(held.pk, "").rows) == ROWS
    assert found == [0]


def test_loops_are_allowed_again_afterwards() -> None:
    def allowed() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW enable_nestloop")
            return str(cursor.fetchone()[0])

    with joined_as_a_whole():
        assert allowed() == "off"
    assert allowed() == "on"

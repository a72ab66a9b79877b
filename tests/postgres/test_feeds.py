"""Partners' files that are applied while customers buy, and processes that are killed meanwhile."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from threading import Event, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.db.models import QuerySet, Sum
from django.utils import timezone

from partner_feeds import intake, services
from partner_feeds.applying import apply_all
from partner_feeds.models import AppliedChange, Ingestion, Partner, StagedRow
from products.models import Product, StockMovement
from products.services import SoldOutError, stock_reserve
from retail.db.bulk import update_rows
from tests.partner_feeds.taking_in import make_partner
from tests.postgres.processes import ROOT, environment
from tests.support import unbalanced_products

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 20_000
PATIENCE = 60


@pytest.fixture(autouse=True)
def _customers_come_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave time for an order between reading products and writing them."""

    def slowly(*arguments: Any) -> None:
        sleep(0.01)
        update_rows(*arguments)

    monkeypatch.setattr("products.services.update_rows", slowly)


@pytest.fixture
def partner() -> Partner:
    return make_partner()


def rows(count: int, stock: int) -> bytes:
    lines = "".join(f"S{number},Item {number},9.90,{stock}\n" for number in range(count))
    return f"sku,name,price,stock\n{lines}".encode()


def take_in(partner: Partner, content: bytes) -> Ingestion:
    ingestion = intake.ingest(partner, io.BytesIO(content))
    assert apply_all(ingestion)
    ingestion.refresh_from_db()
    return ingestion


def buy(stop: Event, keys: list[int]) -> None:
    number = 0
    while not stop.is_set():
        with suppress(SoldOutError):
            number += 1
            stock_reserve(quantities=dict.fromkeys(keys, 1), reference=f"VT-{id(stop)}-{number}")
    connection.close()


def bought_meanwhile(partner: Partner, products: int) -> bool:
    """Apply files while four customers buy; return whether all books agree afterwards."""
    take_in(partner, rows(products, 1000))
    keys = list(Product.objects.values_list("pk", flat=True))
    stop = Event()
    buyers = [Thread(target=buy, args=(stop, keys)) for _ in range(4)]
    for buyer in buyers:
        buyer.start()
    try:
        for stock in range(1001, 1031):
            assert take_in(partner, rows(products, stock)).updated == products
    finally:
        stop.set()
        for buyer in buyers:
            buyer.join()
    sold = StockMovement.objects.filter(reason="sale", product=keys[0]).aggregate(n=Sum("quantity"))
    assert sold["n"] < 0
    left = Product.objects.get(pk=keys[0]).stock
    return unbalanced_products() == [] and left == 1030 + sold["n"]


def test_sales_during_a_file_are_kept(partner: Partner) -> None:
    assert bought_meanwhile(partner, products=5)


def test_without_the_lock_sales_are_lost(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = QuerySet.select_for_update

    def unlocked(rows: QuerySet[Product], *args: object, **kwargs: object) -> QuerySet[Product]:
        return rows if rows.model is Product else locked(rows, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(QuerySet, "select_for_update", unlocked)
    # One product: rows that are not locked in their order would deadlock as well.
    assert not bought_meanwhile(partner, products=1)


def kill_when(folder: Path, file: Path, moment: Callable[[], bool]) -> None:
    """Take a file in with a process of its own, and kill it at a moment."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "app" / "manage.py", "ingest_feed", "acme", str(file)],
        env=environment(folder, "config.settings"),
        stdout=subprocess.DEVNULL,
    )
    try:
        until = monotonic() + PATIENCE
        while not moment():
            assert process.poll() is None, "it ended before"
            assert monotonic() < until
            sleep(0.005)
    finally:
        process.kill()
        process.wait()


def everything() -> tuple[int, int, int]:
    return Product.objects.count(), StockMovement.objects.count(), AppliedChange.objects.count()


def test_a_reader_that_is_killed_leaves_nothing(partner: Partner, tmp_path: Path) -> None:
    file = tmp_path / "products.csv"
    file.write_bytes(rows(ROWS, 3))
    kill_when(tmp_path, file, StagedRow.objects.exists)
    killed = Ingestion.objects.get()
    assert (killed.status, everything()) == ("READING", (0, 0, 0))
    with pytest.raises(services.IngestionRefusedError, match="taken in already"):
        intake.ingest(partner, io.BytesIO(file.read_bytes()))
    Ingestion.objects.update(alive_at=timezone.now() - timedelta(minutes=6))
    assert services.void_dead() == 1
    assert not StagedRow.objects.exists()
    done = take_in(partner, file.read_bytes())
    assert (done.created, everything()) == (ROWS, (ROWS, ROWS, ROWS))


def test_what_was_applied_before_a_kill_is_not_applied_again(
    partner: Partner, tmp_path: Path
) -> None:
    file = tmp_path / "products.csv"
    file.write_bytes(rows(ROWS, 3))
    kill_when(tmp_path, file, lambda: Product.objects.count() > 100)
    killed = Ingestion.objects.get()
    assert killed.status == "APPLYING"
    assert 100 < killed.created < ROWS
    assert everything() == (killed.created,) * 3
    assert StagedRow.objects.count() == ROWS - killed.created
    assert apply_all(killed)
    killed.refresh_from_db()
    assert (killed.status, killed.created, everything()) == ("DONE", ROWS, (ROWS, ROWS, ROWS))
    assert unbalanced_products() == []
    assert Product.objects.aggregate(n=Sum("stock"))["n"] == 3 * ROWS
    assert set(Product.objects.values_list("price", flat=True)) == {Decimal("9.90")}

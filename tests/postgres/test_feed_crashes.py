"""A worker, or the database, dies while a partner's file is taken in: every row counts once."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from django.db.models import Sum
from django.utils import timezone

from partner_feeds import intake
from partner_feeds.models import AppliedChange, FilePart, Ingestion, StagedRow
from partner_feeds.tasks import continue_feed, resume_feeds
from products.models import Product, StockMovement
from tests.partner_feeds.taking_in import make_partner
from tests.postgres.processes import ROOT, environment
from tests.support import unbalanced_products
from tools.with_postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tools.with_postgres import Postgres

ROWS, STOCK = 20_000, 3
PATIENCE = 60
CONTINUE = "from partner_feeds.tasks import continue_feed; continue_feed({key})"


def content() -> bytes:
    lines = "".join(f"S{number},Item {number},9.90,{STOCK}\n" for number in range(ROWS))
    return f"sku,name,price,stock\n{lines}".encode()


def until(moment: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    ends = monotonic() + PATIENCE
    while not moment():
        assert process.poll() is None, "it ended before"
        assert monotonic() < ends
        sleep(0.005)


def kill_worker(folder: Path, ingestion: Ingestion, moment: Callable[[], bool]) -> None:
    """Let a process of its own go on with the file, and kill it at a moment."""
    process = subprocess.Popen(
        [
            sys.executable,
            ROOT / "app" / "manage.py",
            "shell",
            "-c",
            CONTINUE.format(key=ingestion.pk),
        ],
        env=environment(folder, "config.settings"),
        stdout=subprocess.DEVNULL,
    )
    try:
        until(moment, process)
    finally:
        process.kill()
        process.wait()
    ingestion.refresh_from_db()


@pytest.mark.django_db(transaction=True)
def test_another_worker_goes_on_where_one_was_killed(tmp_path: Path) -> None:
    """Killed while it reads, and while it applies; each row is read and applied once."""
    ingestion = intake.receive(
        make_partner(), io.BytesIO(content()), origin=Ingestion.Origin.UPLOAD
    )
    kill_worker(tmp_path, ingestion, StagedRow.objects.exists)
    assert (ingestion.status, ingestion.is_stored) == ("READING", True)
    assert 0 < ingestion.records_read < ROWS
    assert StagedRow.objects.count() == ingestion.records_read == ingestion.rows
    assert (Product.objects.count(), FilePart.objects.count()) == (0, 1)

    kill_worker(tmp_path, ingestion, lambda: Product.objects.count() > STOCK)
    assert (ingestion.status, FilePart.objects.count()) == ("APPLYING", 0)
    assert ingestion.rows == ROWS
    assert Product.objects.count() == AppliedChange.objects.count() == ingestion.created < ROWS
    assert StagedRow.objects.count() == ROWS - ingestion.created

    assert resume_feeds() == 0
    Ingestion.objects.update(alive_at=timezone.now() - timedelta(minutes=2))
    assert resume_feeds() == 1
    continue_feed(ingestion.pk)
    ingestion.refresh_from_db()
    assert (ingestion.status, ingestion.created, ingestion.rejected) == ("DONE", ROWS, 0)
    assert Product.objects.count() == StockMovement.objects.count() == ROWS
    assert Product.objects.aggregate(n=Sum("stock"))["n"] == STOCK * ROWS
    assert (unbalanced_products(), StagedRow.objects.count()) == ([], 0)


SETUP = """
from tests.partner_feeds.taking_in import make_partner
make_partner()
"""


class Shop:
    """A shop on a PostgreSQL server of its own."""

    def __init__(self, server: Postgres, folder: Path) -> None:
        self.server = server
        self.environment = {
            "PATH": os.environ["PATH"],
            "DEBUG": "True",
            "DATABASE_URL": server.url,
            "PYTHONPATH": f"{ROOT / 'app'}:{ROOT}",
            "VAR_DIR": str(folder),
            "LOG_DIR": str(folder),
        }

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a management command."""
        return subprocess.Popen(
            [sys.executable, ROOT / "app" / "manage.py", *arguments],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def manage(self, *arguments: str) -> None:
        """Run a management command."""
        assert self.start(*arguments).wait(timeout=2 * PATIENCE) == 0, arguments

    def value(self, query: str) -> Any:
        """Return the first value of a query."""
        with (
            closing(psycopg2.connect(self.server.url)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(query)
            return cursor.fetchone()[0]  # type: ignore[index]


def test_a_crash_of_the_database_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """A commit that did not wait for the disk may be lost; then its rows are in the stage again."""
    file = tmp_path / "products.csv"
    file.write_bytes(content())
    with postgres() as server:
        shop = Shop(server, tmp_path)
        shop.manage("migrate", "--noinput")
        shop.manage("shell", "-c", SETUP)
        products, staged, moved = (
            "SELECT count(*) FROM products_product",
            "SELECT count(*) FROM partner_feeds_stagedrow",
            "SELECT count(*) FROM products_stockmovement",
        )
        process = shop.start("ingest_feed", "acme", str(file))
        until(lambda: shop.value(products) > 100, process)
        server.restart("immediate")
        assert process.wait(timeout=PATIENCE) != 0
        applied = shop.value(products)
        assert 0 < applied < ROWS
        assert shop.value(staged) == ROWS - applied
        assert (
            shop.value(moved)
            == applied
            == shop.value("SELECT created FROM partner_feeds_ingestion")
        )
        key = shop.value("SELECT id FROM partner_feeds_ingestion WHERE status = 'APPLYING'")
        shop.manage("shell", "-c", CONTINUE.format(key=key))
        assert shop.value("SELECT status FROM partner_feeds_ingestion") == "DONE"
        assert [shop.value(query) for query in (products, staged, moved)] == [ROWS, 0, ROWS]
        assert shop.value("SELECT sum(quantity) FROM products_stockmovement") == STOCK * ROWS
        assert shop.value("SELECT sum(stock) FROM products_product") == STOCK * ROWS

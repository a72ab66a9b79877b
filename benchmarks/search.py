"""Measure how long a search of 100,000 products takes, on SQLite and on PostgreSQL.

Each query is sent to the database as the page does: the keys or the count, then the first page.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from products.models import Product

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "app")]

from benchmarks.support.tables import Spread, machine, markdown
from benchmarks.support.targets import FEWEST, Target, targets_table
from tools.with_postgres import postgres

PRODUCTS, LATER, WORDS, RUNS = 100_000, 100, 4_000, 31
ENOUGH_SECONDS = 20  # for the runs of one query, once there are FEWEST
SEED = 20261126
TARGET_MS = 20
# What the first so many of each 1,000 products have in their name or description.
SHARES = {"Lampe": 300, "Ärmel": 5, "Été": 1}  # 5: as many as a search counts
QUERIES = {
    "in 300 of 1,000 products": "lampe",
    "in 5 of 1,000": "armel",
    "in 1 of 1,000": "ETE",
    "two words, in 1 of 1,000": "ärmel été",
    "part of a word, in 5 of 1,000": "rme",
    "in one product": "unikum",
    "in none": "zeppelin",
    "in none, but part by part": "lampermel",
    "two letters, in none": "qx",
    "two letters, in 5 of 1,000": "är",
}


def products() -> list[Product]:
    """Return new products with invented words."""
    from products.models import Category, Product  # noqa: PLC0415 - Django is set up by now

    chance = random.Random(SEED)  # noqa: S311 - not for security
    letters = "abcdefghijklmnoprstuvwäöüé"
    words = ["".join(chance.choices(letters, k=chance.randint(3, 10))) for _ in range(WORDS)]
    words = [word for word in words if "ar" not in word and "är" not in word and "ete" not in word]
    category = Category.objects.get_or_create(name="Many", slug="many")[0]
    made = []
    for number in range(PRODUCTS):
        marks = [mark for mark, share in SHARES.items() if number % 1000 < share]
        name = " ".join([*chance.choices(words, k=3), *marks, *([] if number else ["Unikum"])])
        made.append(
            Product(
                category=category,
                name=name,
                slug=f"product-{number}",
                description=" ".join(chance.choices(words, k=20)),
                price=10,
            )
        )
    chance.shuffle(made)
    return made


def measure() -> dict[str, list[float]]:
    """Fill the database, and return the milliseconds of each query's runs."""
    import django  # noqa: PLC0415 - its settings come from the environment

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - as above
    from django.db import connection  # noqa: PLC0415

    from products.models import Product  # noqa: PLC0415
    from products.search_index import create_index, drop_index  # noqa: PLC0415
    from products.selectors import search_products  # noqa: PLC0415
    from products.views import PAGE_SIZE  # noqa: PLC0415

    def progress(text: str) -> None:
        print(f"{connection.vendor}: {text}", file=sys.stderr)

    progress(f"filling the database with {PRODUCTS:,} products")
    call_command("migrate", verbosity=0)
    made = products()
    drop_index("default")  # building it once is faster
    Product.objects.bulk_create(made[LATER:], batch_size=1000)
    create_index(using="default")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE" if connection.vendor == "sqlite" else "VACUUM ANALYZE")
    Product.objects.bulk_create(made[:LATER])  # not merged into the index yet
    results: dict[str, list[float]] = {}
    for title, query in QUERIES.items():
        runs: list[float] = []
        while len(runs) < RUNS and (len(runs) < FEWEST or sum(runs) < 1000 * ENOUGH_SECONDS):
            started = time.perf_counter()
            found = search_products(query=query)
            shown = list(found.products[:PAGE_SIZE])
            runs.append(1000 * (time.perf_counter() - started))
        progress(f"{title}: {Spread(tuple(runs))} ms")
        results[f"{title}: {found.count:,}{'+' if found.more else ''}"] = runs
        assert len(shown) == min(found.count, PAGE_SIZE), title  # noqa: S101 - a benchmark
    return results


def run(database_url: str, folder: Path) -> dict[str, list[float]]:
    """Measure in a process of its own."""
    environment = {
        **os.environ,
        "DEBUG": "True",
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "VAR_DIR": str(folder),
        "LOG_DIR": str(folder),
        "LOG_CONSOLE_LEVEL": "ERROR",
    }
    done = subprocess.run(
        [sys.executable, __file__, "--measure"],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    results: dict[str, list[float]] = json.loads(done.stdout)
    return results


def main() -> None:
    """Measure on both databases and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="for `make bench`; changes nothing")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        json.dump(measure(), sys.stdout)
        return
    with tempfile.TemporaryDirectory() as name, postgres() as server:
        folder = Path(name)
        results = {
            "SQLite": run(f"sqlite:///{folder / 'shop.sqlite3'}", folder),
            "PostgreSQL 18": run(server.url, folder),
        }
    print(f"{machine()}; {PRODUCTS:,} products, up to {RUNS} runs\n")
    titles = next(iter(results.values()))
    rows = [
        [title, *(str(Spread(tuple(runs[title]))) for runs in results.values())] for title in titles
    ]
    print(markdown(["a word: products found", *(f"{name}, ms" for name in results)], rows))
    print()
    target = "{}: the slowest query of {} letters or more"
    print(
        targets_table(
            (
                Target(target.format(database, 3), "≤", TARGET_MS, " ms"),
                Spread(tuple(max(_indexed(runs), key=lambda each: Spread(tuple(each)).median))),
            )
            for database, runs in results.items()
        )
    )


def _indexed(runs: dict[str, list[float]]) -> list[list[float]]:
    return [each for title, each in runs.items() if not title.startswith("two letters")]


if __name__ == "__main__":
    main()

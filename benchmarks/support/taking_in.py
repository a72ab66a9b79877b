"""Takes a partner's file in, or copies its rows, in a process of its own; prints JSON.

`taking_in.py copy|csv|again|json|xml FILE`: seconds, and the megabytes by which the process grew.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from pathlib import Path

import django

django.setup()

from django.db import connection

from partner_feeds import intake
from partner_feeds.applying import apply_all
from partner_feeds.models import Ingestion, Partner
from products.models import Category, Product
from products.search import search_text

KILOBYTES = 1024
_COPY = """COPY feed_copy (name, slug, description, search_text, image, price, currency, stock,
    is_active, source, sku, ean, source_stock, category_id) FROM STDIN"""
_ESCAPED = str.maketrans({"\n": "\\n"})


def _memory(name: str) -> int:
    """Return a figure of this process' memory in kB, as the kernel knows it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def _empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS feed_copy (LIKE products_product INCLUDING ALL)")
        cursor.execute("TRUNCATE feed_copy")
        for model in (Ingestion, Product):
            cursor.execute(f"TRUNCATE {model._meta.db_table} CASCADE")  # noqa: SLF001 - documented
        cursor.execute("CHECKPOINT")


def _copy(file: Path) -> float:
    """Return the seconds of a plain COPY of the rows into a table with the same indexes."""
    category = Category.objects.get(slug="feed")
    lines = []
    with file.open(newline="") as opened:
        for row in csv.DictReader(opened):
            folded = search_text(row["name"], row["description"]).translate(_ESCAPED)
            values = (
                *(row["name"], row["sku"].lower(), row["description"], folded, "image"),
                *(row["price"], "EUR", row["stock"], "t", "feed", row["sku"], row["ean"]),
                *(row["stock"], str(category.pk)),
            )
            lines.append("\t".join(values))
    text = io.StringIO("\n".join(lines))
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.copy_expert(_COPY, text)
    return time.perf_counter() - started


def _take_in(file: Path, kind: str) -> float:
    """Return the seconds until a file was read and applied."""
    Partner.objects.update(format="csv" if kind == "again" else kind)
    partner = Partner.objects.get()
    with file.open("rb") as opened:
        started = time.perf_counter()
        ingestion = intake.ingest(partner, opened)
        assert ingestion.status == "APPLYING", ingestion.held_for  # noqa: S101 - a benchmark
        assert apply_all(ingestion)  # noqa: S101
        seconds = time.perf_counter() - started
    ingestion.refresh_from_db()
    done = ingestion.unchanged if kind == "again" else ingestion.created
    assert done + ingestion.rejected == ingestion.rows  # noqa: S101
    return seconds


def main() -> None:
    """Measure once and print."""
    kind, file = sys.argv[1], Path(sys.argv[2])
    category, _ = Category.objects.get_or_create(slug="feed", defaults={"name": "Benchmark"})
    Partner.objects.get_or_create(slug="feed", defaults={"name": "Feed", "category": category})
    if kind != "again":
        _empty()
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far counts from here
    idle = _memory("VmRSS")
    seconds = _copy(file) if kind == "copy" else _take_in(file, kind)
    grown = (_memory("VmHWM") - idle) / KILOBYTES
    json.dump({"seconds": seconds, "grown": grown}, sys.stdout)


if __name__ == "__main__":
    main()

"""Whatever partners send: importing again changes nothing, and a take-back restores all."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from partner_feeds import applying, services
from partner_feeds.applying import apply_all
from partner_feeds.models import Ingestion, Partner, StagedRow
from products.models import Category, Product, StockMovement
from products.services import stock_adjust
from tests.partner_feeds.taking_in import counts, make_partner, take_in
from tests.support import unbalanced_products

EXAMPLES = 40  # each takes in several files
SALE = StockMovement.Reason.SALE
COLUMNS = ("sku", "name", "description", "category", "ean", "price", "stock", "active")
ROWS = st.tuples(
    st.sampled_from(["A", "B", "C", "D"]),
    st.sampled_from(["", "Kettle", "Pan", "Küchenmesser", "x, \\ \t'quoted'"]),
    st.sampled_from(["", "Steel", "Steel\nand wood", "Émail"]),
    st.sampled_from(["", "Kitchen", "Garden", "kitchen", "unknown"]),
    st.sampled_from(["", "4006381333931", "96385074"]),
    st.sampled_from(["", "0.01", "9.99", "10", "10.00", "900.50"]),
    st.sampled_from(["", "0", "1", "7", "1000"]),
    st.sampled_from(["", "yes", "no"]),
)
FILES = st.lists(st.lists(ROWS, max_size=4, unique_by=lambda row: row[0]), min_size=1, max_size=3)
# No row fails without one: a file needs a good row.
ALWAYS = ("Z", "Zest", "", "", "", "5.00", "3", "")


def file_of(rows: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *rows, ALWAYS])
    return text.getvalue().encode()


def any_partner(**values: Any) -> Partner:
    partner = make_partner()
    Category.objects.create(name="Garden", slug="garden")
    limits = ("most_rejects_ratio", "most_repriced_ratio", "most_sold_out_ratio")
    values |= dict.fromkeys(limits, 1.0) | {"least_rows_ratio": 0.0, "most_price_factor": 1e6}
    Partner.objects.update(**values)
    partner.refresh_from_db()
    return partner


def products() -> list[dict[str, Any]]:
    """Return all that is stored of products; ids are new when a product is created again."""
    rows = Product.objects.filter(source="acme").order_by("sku")
    return [dict(row) for row in rows.values()]


def stock_of_movements() -> dict[str, int]:
    totals: dict[str, int] = {}
    for movement in StockMovement.objects.select_related("product"):
        sku = str(movement.product.sku)
        totals[sku] = totals.get(sku, 0) + movement.quantity
    return totals


def done(partner: Partner, content: bytes) -> Ingestion:
    # Blank lines are nothing, but the same bytes again would not be read.
    ingestion = take_in(partner, content + b"\r\n" * Ingestion.objects.count())
    assert ingestion.status == "DONE", ingestion.held_for
    rows = ingestion.created + ingestion.updated + ingestion.unchanged + ingestion.rejected
    assert rows == ingestion.rows + ingestion.absent
    assert (StagedRow.objects.count(), ingestion.rejects.count()) == (0, ingestion.rejected)
    return ingestion


class AnyFiles(TestCase):
    """Files with any rows, one after the other."""

    @settings(max_examples=EXAMPLES)
    @given(FILES, st.sampled_from(["keep", "sold_out"]))
    def test_a_second_import_changes_nothing(
        self, files: list[list[tuple[str, ...]]], absent: str
    ) -> None:
        partner = any_partner(absent=absent)
        for rows in files:
            first = done(partner, file_of(rows))
            before, movements = products(), StockMovement.objects.count()
            again = done(partner, file_of(rows))
            assert (products(), StockMovement.objects.count()) == (before, movements)
            assert (again.created, again.updated) == (0, 0)
            assert again.rejected == first.rejected
            assert not again.changes.exists()

    @settings(max_examples=EXAMPLES)
    @given(FILES, st.sampled_from(["keep", "sold_out"]))
    def test_a_take_back_restores_exactly(
        self, files: list[list[tuple[str, ...]]], absent: str
    ) -> None:
        partner = any_partner(absent=absent)
        for rows in files:
            before, stocks = products(), stock_of_movements()
            ingestion = done(partner, file_of(rows))
            if not ingestion.changes.exists():
                continue
            back = services.take_back(ingestion, user_id=None)
            assert apply_all(back)
            back.refresh_from_db()
            assert (back.status, back.rejected) == ("DONE", 0)
            assert products() == before
            left = {sku: units for sku, units in stock_of_movements().items() if units}
            assert left == {sku: units for sku, units in stocks.items() if units}
            assert unbalanced_products() == []
            done(partner, file_of(rows))

    @settings(max_examples=EXAMPLES)
    @given(FILES, st.booleans())
    def test_what_is_passed_over_would_change_nothing(
        self, files: list[list[tuple[str, ...]]], sold: bool
    ) -> None:
        """The comparison in SQL says "unchanged" only where that under the lock does, too."""
        results = []
        for slug, statement in (("acme", applying._UNCHANGED), ("other", f"{NONE}{UNUSED}")):
            results.append(self._results(slug, statement, files, sold=sold))
        assert results[0] == results[1]

    def _results(
        self, slug: str, statement: str, files: list[list[tuple[str, ...]]], *, sold: bool
    ) -> list[Any]:
        partner = any_partner() if slug == "acme" else other_partner()
        with patch.object(applying, "_UNCHANGED", statement):
            found = []
            for rows in files:
                found.append(counts(done(partner, file_of(rows))))
                zest = Product.objects.get(source=slug, sku="Z")
                if sold and zest.stock:
                    stock_adjust(
                        product_id=zest.pk,
                        difference=-1,
                        reason=SALE,
                        reference="",
                    )
        columns = ("sku", "name", "description", "category", "ean", "price", "stock", "is_active")
        of_partner = Product.objects.filter(source=slug).order_by("sku")
        return [found, list(of_partner.values_list(*columns, "search_text"))]


NONE = "DELETE FROM partner_feeds_stagedrow WHERE 1 = 0 "
UNUSED = "AND %s IS NULL AND %s IS NULL AND %s IS NULL AND %s IS NULL"


def other_partner() -> Partner:
    partner = Partner.objects.get(slug="acme")
    partner.pk, partner.slug, partner.name = None, "other", "Other"
    partner.save()
    return partner


class AnySales(TestCase):
    """Sales between files."""

    @settings(max_examples=EXAMPLES)
    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=6))
    def test_sales_between_files_are_kept(self, steps: list[tuple[int, int]]) -> None:
        """The stock follows what the partner says, less what was sold since it said so first."""
        partner = any_partner()
        stock = said = 0
        for said_now, wanted in steps:
            done(partner, f"sku,name,price,stock\nA,Pan,{Decimal(1)},{said_now}\n".encode())
            stock = max(stock + said_now - said, 0)
            said = said_now
            product = Product.objects.get(sku="A")
            assert product.stock == stock
            sold = min(wanted, stock)
            stock_adjust(
                product_id=product.pk,
                difference=-sold,
                reason=SALE,
                reference="",
            )
            stock -= sold

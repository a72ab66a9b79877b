"""What comes out of each sample of a real export: its items, its rejects, or why it is refused."""

from __future__ import annotations

import gzip
from decimal import Decimal
from typing import Any

import pytest

from tests.partner_feeds.support import SAMPLES, read

EAN = "4006381333931"
LONG_NAME = "N" * 119 + "…"
CUT, SEEN = ("name: cut to 120 characters",), ("name: invisible characters removed",)
SKUS = (
    ("SKU1", "first", "1.00", 1),
    ("sku1", "lower case", "2.00", 2),
    ("SKU1", "trailing space", "3.00", 3),
    ("SKU1", "again", "4.00", 4),
    ("0012", "leading zeros", "1.00", 1),
    ("12", "without zeros", "1.00", 1),
)


def item(
    line: int, sku: str, name: str | None, price: str | None, stock: int | None, **rest: Any
) -> dict[str, Any]:
    """Return an item's fields; what is not named is not in the row."""
    fields = dict.fromkeys(("description", "category", "ean", "offered")) | {"notes": ()}
    money = None if price is None else Decimal(price)
    return {"line": line, "sku": sku, "name": name, "price": money, "stock": stock} | fields | rest


# file: format, mapping, settings, items, rejects, code of the FeedError
CASES: dict[
    str, tuple[str, str, dict[str, Any], list[dict[str, Any]], list[tuple[int, str]], str]
] = {
    "akeneo.csv": (
        *("csv", "akeneo", {}),
        [
            item(2, "AK-1", "Pfanne", "49.90", None, offered=True),
            item(3, "AK-2", None, None, None, offered=False),
        ],
        *([], ""),
    ),
    "amazon-flat.txt": (
        *("tsv", "amazon", {"encoding": "cp1252"}),
        [item(4, "AM-1", 'Lamp "Moon" 5" wide', "29.99", 12, ean=EAN)],
        *([(5, "price"), (6, "ean_exponent")], ""),
    ),
    "bmecat12.xml": ("xml", "plain", {}, [], [], "no_records"),
    "bmecat2005.xml": ("xml", "plain", {}, [], [], "no_records"),
    "onix3-reference.xml": ("xml", "plain", {}, [], [], "no_records"),
    "csv-bom-quoted-header.csv": ("csv", "plain", {}, [item(2, "B1", "x", "1.00", 1)], [], ""),
    "csv-cp1252.csv": (
        *("csv", "plain", {"encoding": "cp1252"}),
        *([item(2, "W1", "Café € \u2013 “x”", "3.20", 1)], [], ""),
    ),
    "csv-cr-only.csv": (
        *("csv", "plain", {}),
        *([item(2, "C1", "old Mac", "1.00", 1), item(3, "C2", "x", "1.00", 1)], [], ""),
    ),
    "csv-cut.gz": ("csv", "plain", {}, [], [], "cut"),
    "csv-duplicate-headers.csv": ("csv", "plain", {}, [], [], "column_twice"),
    # The database stage finds keys that are there twice.
    "csv-duplicate-sku.csv": (
        *("csv", "plain", {}),
        *([item(line, *row) for line, row in enumerate(SKUS, 2)], [], ""),
    ),
    "csv-excel-ean.csv": (
        *("csv", "plain", {}),
        [
            item(5, "X4", "apostrophe", "1.00", 1, ean=EAN),
            item(6, "X5", "formula", "1.00", 1, ean=EAN),
            item(8, "1E10", "sku that Excel reads as a number", "1.00", 1),
            item(9, "MAR-1", "sku that Excel reads as a date", "1.00", 1),
        ],
        *([(2, "ean_exponent"), (3, "ean_exponent"), (4, "ean"), (7, "ean")], ""),
    ),
    "csv-gz-named.csv": ("csv", "plain", {}, [item(2, "G1", "x", "1.00", 1)], [], ""),
    "csv.gz": ("csv", "plain", {}, [item(2, "G1", "x", "1.00", 1)], [], ""),
    "csv-header-only.csv": ("csv", "plain", {}, [], [], "no_rows"),
    "csv-html-and-formula.csv": (
        *("csv", "plain", {}),
        [
            item(2, "H1", None, "1.00", 1),
            item(3, "H2", "Bold & x", "1.00", 1),
            item(4, "H3", '=HYPERLINK("http://evil.example")', "1.00", 1),
            item(5, "H4", "@SUM(1+1)", "1.00", 1),
            item(6, "H5", LONG_NAME, "1.00", 1, notes=CUT),
            item(7, "H6", "spaced out", "1.00", 1),
            item(8, "H7", "zerowidth", "1.00", 1, notes=SEEN),
            item(9, "H8", "evil", "1.00", 1, notes=SEEN),
        ],
        *([], ""),
    ),
    "csv-quoting.csv": (
        *("csv", "plain", {}),
        [
            item(2, "Q1", 'He said "hi", twice', "1.00", 1),
            item(3, "Q2", "line one line two", "1.00", 1),
            item(5, "Q3", '5" pipe', "1.00", 1),
        ],
        *([], "open_quote"),
    ),
    "csv-semicolon-decimal-comma.csv": (
        *("csv", "plain", {"decimal_sign": ",", "symbol": "€"}),
        [
            item(2, "S1", "Tasse", "1299.00", 3),
            item(3, "S2", "Teller", "12.50", 1000),
            item(4, "S3", "Löffel", "2.00", None),
        ],
        *([(5, "currency")], ""),
    ),
    "csv-utf16le-bom-tab.csv": ("csv", "plain", {}, [item(2, "U1", "Größe", "3.20", 1)], [], ""),
    "empty.csv": ("csv", "plain", {}, [], [], "empty"),
    "google-html-entity.xml": ("xml", "google", {}, [], [], "broken_xml"),
    "google-rss2.xml": (
        *("xml", "google", {}),
        [
            item(5, "GM-001", "Plain kettle", "24.90", None, ean=EAN, description="Boils water."),
            item(
                6,
                "GM-002",
                "Tea & Coffee set",
                "1299.00",
                0,
                description="Line one\nLine two \u2013",
            ),
            item(7, "GM-003", "Title in the g namespace", "12.00", 0),
            item(8, "GM-001", "Same id again", "19.90", None),
        ],
        *([(9, "no_key")], ""),
    ),
    "json-bom.json": ("json", "plain", {}, [], [], "no_rows"),
    "json-cut.json": ("json", "plain", {}, [item(1, "C1", "x", "1.00", 1)], [], "cut"),
    "json-lines.jsonl": (
        *("jsonl", "plain", {}),
        [item(1, "JL1", "x", "1.00", 1), item(4, "JL3", "z", "1.00", 1)],
        *([(2, "broken_json")], ""),
    ),
    "json-list.json": (
        *("json", "plain", {}),
        [item(1, "J1", "x", "1.00", 3), item(2, "J2", None, "1.10", 4)],
        *([(3, "key_not_text"), (4, "not_text")], ""),
    ),
    "json-wrapped-paged.json": (
        *("json", "variants", {"negative_stock_is_zero": True}),
        *([item(1, "JV1", "x", "9.99", 0)], [(1, "no_key")], "more_pages"),
    ),
    "shopify.csv": (
        *("csv", "shopify", {"negative_stock_is_zero": True}),
        [
            item(
                *(2, "SH-S", "Linen shirt - S", "39.00", 4),
                description='Soft, "airy" linen.\nWash cold.',
                category="Shirts",
                ean=EAN,
                offered=True,
            ),
            item(
                *(4, "SH-M", "Linen shirt - M", "39.00", 0),
                description='Soft, "airy" linen.\nWash cold.',
                category="Shirts",
                offered=True,
            ),
        ],
        *([(6, "no_key")], ""),
    ),
    "woocommerce.csv": (
        *("csv", "woocommerce", {"decimal_sign": ","}),
        [
            item(
                *(2, "WOO-1", "Oak, board", "24.90", 7),
                description="Oak",
                category="Kitchen",
                offered=True,
            ),
            item(5, "WOO-1", "Duplicate SKU", "5.00", 0, offered=False),
        ],
        *([(4, "stock_negative")], ""),
    ),
    "xml-bomb.xml": ("xml", "plain", {}, [], [], "dtd"),
    "xml-cp1252-declared-latin1.xml": (
        *("xml", "plain", {}),
        *([], [(2, "control_character")], "no_good_row"),
    ),
    "xml-external-entity.xml": ("xml", "plain", {}, [], [], "dtd"),
    "xml-latin1-declared.xml": (
        *("xml", "plain", {}),
        *([item(2, "L1", "Käse Brötchen", "1.20", None)], [], ""),
    ),
    "xml-truncated.xml": ("xml", "plain", {}, [item(2, "T1", "whole", None, None)], [], "cut"),
}


def fields_of(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


@pytest.mark.parametrize("name", CASES)
def test_a_sample_gives_exactly_its_items_and_rejects(name: str) -> None:
    file_format, mapping, settings, items, rejects, code = CASES[name]
    outcome = read((SAMPLES / name).read_bytes(), file_format, mapping, **settings)
    assert [fields_of(row) for row in outcome.items] == items
    assert outcome.rejected == rejects
    assert outcome.code == code


def test_every_sample_has_a_case() -> None:
    assert set(CASES) == {path.name for path in SAMPLES.iterdir()}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("bmecat12.xml", "<BMECAT>"),
        ("bmecat2005.xml", "<{http://www.bmecat.org/bmecat/2005}BMECAT>"),
        ("onix3-reference.xml", "<{http://ns.editeur.org/onix/3.0/reference}ONIXMessage>"),
    ],
)
@pytest.mark.parametrize("mapping", ["plain", "google", "shopify", "woocommerce"])
def test_xml_of_another_kind_is_refused_with_what_was_found(
    name: str, found: str, mapping: str
) -> None:
    outcome = read((SAMPLES / name).read_bytes(), "xml", mapping)
    wanted = {
        "plain": "<product> or <item> or <p>",
        "google": "<item> or <{http://www.w3.org/2005/Atom}entry>",
    }.get(mapping, "record")
    assert str(outcome.error) == (
        f"The file is XML with the root {found}, but has no {wanted} that {mapping} reads."
    )
    assert (outcome.items, outcome.rejects, outcome.code) == ([], [], "no_records")


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("file_format", ["csv", "tsv", "json", "jsonl", "xml"])
def test_a_sample_read_as_another_format_gives_no_items(name: str, file_format: str) -> None:
    """JSON lines that are read as JSON, and the reverse, may begin alike but do not end whole."""
    own, mapping, settings, *_ = CASES[name]
    alike = {own, *(("csv", "tsv") if own in {"csv", "tsv"} else ())}
    outcome = read((SAMPLES / name).read_bytes(), file_format, mapping, **settings)
    if file_format not in alike:
        assert outcome.error


def test_stock_below_zero_is_a_setting() -> None:
    data = (SAMPLES / "shopify.csv").read_bytes()
    assert read(data, "csv", "shopify").rejected == [(4, "stock_negative"), (6, "no_key")]
    data = (SAMPLES / "woocommerce.csv").read_bytes()
    zero = read(data, "csv", "woocommerce", negative_stock_is_zero=True, decimal_sign=",")
    assert zero.rejected == [(4, "price")]  # 4.50, in a shop with a decimal comma


def test_symbols_are_rejected_unless_set() -> None:
    data = (SAMPLES / "csv-semicolon-decimal-comma.csv").read_bytes()
    assert read(data, decimal_sign=",").rejected == [(4, "price"), (5, "currency")]
    with_point = read(data)
    assert with_point.rows == []
    assert with_point.rejected == [(2, "price"), (3, "price"), (4, "price"), (5, "currency")]


def test_the_wrong_encoding_rejects_rows_instead_of_names_with_replacements() -> None:
    data = (SAMPLES / "csv-cp1252.csv").read_bytes()
    assert read(data).rejected == [(2, "encoding")]
    assert read(data, encoding="iso-8859-1").rejected == [(2, "control_character")]
    declared = (SAMPLES / "xml-cp1252-declared-latin1.xml").read_bytes()
    outcome = read(declared, "xml", encoding="cp1252")
    assert [row.name for row in outcome.items] == ["Price € 5 \u2013 “nice”"]


def test_gzip_is_recognized_in_every_format() -> None:
    for name, file_format in (
        ("json-list.json", "json"),
        ("json-lines.jsonl", "jsonl"),
        ("xml-latin1-declared.xml", "xml"),
        ("csv-cr-only.csv", "csv"),
    ):
        data = (SAMPLES / name).read_bytes()
        assert read(gzip.compress(data), file_format) == read(data, file_format)

"""Any bytes give items, rejects or a FeedError; what was written is read."""

from __future__ import annotations

import csv
import gzip
import io
import json
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from partner_feeds.reading.formats import names
from partner_feeds.reading.items import CATEGORY_LENGTH, DESCRIPTION_LENGTH, NAME_LENGTH, Item
from partner_feeds.reading.mappings import MAPPINGS
from partner_feeds.reading.options import DECIMAL_SIGNS, ENCODINGS, Limits
from partner_feeds.reading.values import price_of, stock_of
from tests.partner_feeds.support import OWN, SAMPLES, options_for, read, read_with
from tests.partner_feeds.test_samples import CASES

FORMATS = names()
ALL = {**MAPPINGS, **OWN}
SMALL = Limits(
    packed_bytes=50_000, unpacked_bytes=100_000, rows=50, record_bytes=2000, record_lines=20
)
SETTINGS = st.fixed_dictionaries(
    {
        "mapping": st.sampled_from(sorted(ALL)),
        "encoding": st.sampled_from(("", *ENCODINGS)),
        "decimal_sign": st.sampled_from(DECIMAL_SIGNS),
        "delimiter": st.sampled_from(("", ",", ";", "\t", "'", "\0", " ", "é", "=")),
        "symbol": st.sampled_from(("", "€", "zł")),
        "negative_stock_is_zero": st.booleans(),
        "limits": st.sampled_from((Limits(), SMALL)),
    }
)
COLUMNS = sorted(
    {name for mapping in ALL.values() for wanted in mapping.fields.values() for name in wanted}
    | {"Type", "Handle", "Option1 Value", "variants", "products", "next"}
)
# Cells that are not only noise: numbers, HTML, and what breaks formats.
PIECES = st.sampled_from(
    (
        *("1", "-1", "1.50", "1,50", "1.299,00", "NaN", "EUR", "€", "'", '="1"', "4006381333931"),
        *("<b>", "</p>", "<![x", "<!--", "&amp;", "&#0;", "&lt;", "&nosuch;", "<script>", ">"),
        *('"', '""', ",", ";", "\t", "\n", "\r", "\0", "\ud800", "\ufeff", "\u202e", "ä", "Ã¼"),
        *("{", "}", "[", "]", ":", "1e400", "\\", "\\ud800", "null", "<p>", "<sku>", "</", "]]>"),
    )
)
CELLS = st.lists(PIECES | st.text(max_size=5), max_size=5).map("".join)
VALUES = st.recursive(
    CELLS | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(COLUMNS) | CELLS, inner, max_size=4)
    ),
    max_leaves=12,
)
GOOD = {
    "price": st.sampled_from(("1.50", "1,50", "5", "EUR 5", "5 €", "")),
    "stock": st.sampled_from(("3", "0", "-2", "")),
    "ean": st.sampled_from(("4006381333931", "")),
    "availability": st.sampled_from(("in stock", "preorder", "")),
    "offered": st.sampled_from(("1", "draft", "")),
}


@st.composite
def records(draw: st.DrawFn, cells: st.SearchStrategy[Any]) -> tuple[dict[str, Any], list[Any]]:
    """Return settings, and records for their mapping, many of which are good."""
    options: dict[str, Any] = {**draw(SETTINGS), "delimiter": ""}
    fields = ALL[options["mapping"]].fields
    found = draw(st.lists(st.sampled_from(sorted(fields)), min_size=1, unique=True))
    columns = {name: draw(st.sampled_from(fields[name])) for name in {*found, "sku"}}
    more = draw(st.lists(st.sampled_from(COLUMNS) | CELLS, max_size=2))
    rows = []
    for number in range(draw(st.integers(0, 4))):
        good = {column: draw(GOOD.get(name, CELLS)) for name, column in columns.items()}
        good[columns["sku"]] = f"k{number}"
        wrong = draw(st.lists(st.sampled_from([*good, *more]), max_size=2))
        rows.append(good | {name: draw(cells) for name in wrong})
    return options, rows


def holds(data: bytes, file_format: str, options: dict[str, Any]) -> None:
    """Read a file, and check whatever comes out of it. No other exception may be raised."""
    settings = dict(options)
    mapping = settings.pop("mapping")
    outcome = read_with(data, options_for(file_format, ALL[mapping], **settings))
    for item in outcome.items:
        check_item(item, settings["limits"])
    for reject in outcome.rejects:
        check_sentence(reject.code, reject.sentence)
        assert reject.line >= 1
    if outcome.error:
        check_sentence(outcome.code, str(outcome.error))
    else:
        assert outcome.items


def check_item(item: Item, limits: Limits) -> None:
    assert 1 <= len(item.sku) <= 64
    assert item.sku == item.sku.strip()
    assert item.price is None or (0 < item.price <= limits.price)
    assert item.price is None or item.price.as_tuple().exponent == -2
    assert item.stock is None or (type(item.stock) is int and 0 <= item.stock <= limits.stock)
    assert item.ean is None or (item.ean.isascii() and item.ean.isdigit())
    for text, most in (
        (item.sku, 64),
        (item.name, NAME_LENGTH),
        (item.category, CATEGORY_LENGTH),
        (item.description, DESCRIPTION_LENGTH),
    ):
        if text is not None:
            assert 0 < len(text) <= most
            assert "\0" not in text
            text.encode()  # no surrogates
    assert "\n" not in (item.name or "") + (item.category or "")


def check_sentence(code: str, sentence: str) -> None:
    assert code.isidentifier()
    assert sentence.endswith(".")
    assert len(sentence) < 700
    assert "\0" not in sentence
    sentence.encode()


@pytest.mark.parametrize("file_format", FORMATS)
@settings(max_examples=50)
@given(data=st.binary(max_size=300), options=SETTINGS, packed=st.booleans())
def test_any_bytes(file_format: str, data: bytes, options: dict[str, Any], packed: bool) -> None:
    holds(gzip.compress(data) if packed else data, file_format, options)


@pytest.mark.parametrize("file_format", ["csv", "tsv"])
@settings(max_examples=60)
@given(written=records(CELLS), delimiter=st.sampled_from(",;\t|"), quoted=st.booleans())
def test_any_table(file_format: str, written: Any, delimiter: str, quoted: bool) -> None:
    options, rows = written
    names_of_all = list(dict.fromkeys(name for row in rows for name in row))

    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if quoted else text

    table = [names_of_all, *([row.get(name, "") for name in names_of_all] for row in rows)]
    lines = [delimiter.join(map(cell, row)) for row in table]
    holds("\n".join(lines).encode("utf-8", "surrogatepass"), file_format, options)


@settings(max_examples=80)
@given(written=records(VALUES), wrapped=st.booleans())
def test_any_json(written: Any, wrapped: bool) -> None:
    options, rows = written
    holds(json.dumps({"products": rows} if wrapped else rows).encode(), "json", options)
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    holds(lines.encode("utf-8", "surrogatepass"), "jsonl", options)


@settings(max_examples=80)
@given(written=records(CELLS), escaped=st.booleans())
def test_any_xml(written: Any, escaped: bool) -> None:
    options, rows = written

    def tag(name: str, text: str) -> str:
        namespace, _, local = name.rpartition("}")
        local = "".join(letter for letter in local if letter.isalnum() or letter in "_-") or "x"
        return f'<{local} xmlns="{escape(namespace[1:])}">{text}</{local}>'

    element = (*ALL[options["mapping"]].elements, "item")[0]
    inner = "".join(
        tag(element, "".join(tag(k, escape(v) if escaped else v) for k, v in row.items()))
        for row in rows
    )
    holds(f"<r>{inner}</r>".encode("utf-8", "surrogatepass"), "xml", options)


CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True), st.sampled_from("xid"), st.integers(1, 255) | st.none()
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("name", [name for name in CASES if name != "empty.csv"])
@settings(max_examples=8)
@given(changes=CHANGES, options=SETTINGS, own=st.booleans())
def test_changed_samples(
    name: str,
    changes: list[tuple[float, str, int | None]],
    options: dict[str, Any],
    own: bool,
) -> None:
    """Bytes are flipped, inserted and deleted."""
    data = bytearray((SAMPLES / name).read_bytes())
    for place, kind, byte in changes:
        at = int(place * len(data))
        if kind == "x":
            data[at : at + 1] = bytes([(data[at] ^ (byte or 128)) if data else 0])
        elif kind == "i":
            data[at:at] = bytes([byte or 0]) * (3 if byte is None else 1)
        else:
            del data[at : at + (byte or 1)]
    file_format, mapping, rest, *_ = CASES[name]
    holds(bytes(data), file_format, {**options, **rest, "mapping": mapping} if own else options)


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), max_size=30
).filter(lambda text: "<" not in text and "&" not in text)
NAMES = TEXT.map(lambda text: " ".join(text.split())).filter(
    lambda text: text.isascii() or "\ufffd" not in text
)
KEYS = st.text("abcXYZ0189-_./#äß", min_size=1, max_size=20)
PRICES = st.decimals("0.01", "99999999.99", places=2)
STOCKS = st.integers(0, 1_000_000_000)
TABLES = st.lists(st.tuples(KEYS, NAMES, PRICES, STOCKS), min_size=1, max_size=8)


def check_same(data: bytes, file_format: str, table: list[tuple[str, str, Decimal, int]]) -> None:
    outcome = read(data, file_format)
    read_table = [(row.sku, row.name, row.price, row.stock) for row in outcome.items]
    # Text that looks like UTF-8 read in another encoding is rejected on purpose.
    assert {reject.code for reject in outcome.rejects} <= {"encoding"}
    rejected = {reject.line for reject in outcome.rejects}
    assert len(read_table) + len(rejected) == len(table)
    if not rejected:
        assert read_table == [(sku, name or None, *rest) for sku, name, *rest in table]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@settings(max_examples=20)
@given(table=TABLES, ends=st.sampled_from(("\n", "\r\n", "\r")), all_quoted=st.booleans())
@example(table=[("1", 'a "b", c;d|e', Decimal(1), 2)], ends="\r", all_quoted=False)
def test_a_written_table_is_read(
    delimiter: str, table: list[tuple[str, str, Decimal, int]], ends: str, all_quoted: bool
) -> None:
    written = io.StringIO()
    writer = csv.writer(
        written,
        delimiter=delimiter,
        lineterminator=ends,
        quoting=csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL,
    )
    writer.writerows([("sku", "name", "price", "stock"), *table])
    check_same(written.getvalue().encode(), "csv", table)


@settings(max_examples=40)
@given(table=TABLES, ascii_only=st.booleans(), indent=st.none() | st.integers(0, 3))
def test_written_json_is_read(
    table: list[tuple[str, str, Decimal, int]], ascii_only: bool, indent: int | None
) -> None:
    records = [
        {"sku": sku, "name": name, "price": str(price), "stock": stock}
        for sku, name, price, stock in table
    ]
    written = json.dumps(records, ensure_ascii=ascii_only, indent=indent)
    check_same(written.encode(), "json", table)
    lines = "\n".join(json.dumps(record, ensure_ascii=ascii_only) for record in records)
    check_same(lines.encode(), "jsonl", table)


@settings(max_examples=40)
@given(table=TABLES)
def test_written_xml_is_read(table: list[tuple[str, str, Decimal, int]]) -> None:
    written = "".join(
        f"<p><sku>{escape(sku)}</sku><name>{escape(name)}</name><price>{price}</price>"
        f"<stock>{stock}</stock></p>\n"
        for sku, name, price, stock in table
    )
    check_same(f"<r>{written}</r>".encode(), "xml", table)


def grouped(number: Decimal | int, sign: str, mark: str) -> str:
    return f"{number:,}".translate({ord(","): mark, ord("."): sign})


@settings(max_examples=100)
@given(
    price=PRICES,
    stock=STOCKS,
    signs=st.sampled_from((".,", ",.", ".'", ",'", ". ", ", ", ",\u00a0", ".\u2019", ",\u202f")),
    shape=st.sampled_from(("{}", "{} EUR", "EUR {}", "EUR{}", "€{}", "{} €", "'{}", " {} ")),
)
def test_prices_and_stocks_in_both_signs(
    price: Decimal, stock: int, signs: str, shape: str
) -> None:
    options = options_for("csv", decimal_sign=signs[0], symbol="€")
    for mark in (signs[1], ""):
        assert price_of(shape.format(grouped(price, signs[0], mark)), options) == price
        assert stock_of(grouped(stock, signs[0], mark), options) == stock


@settings(max_examples=60)
@given(price=PRICES, sign=st.sampled_from(DECIMAL_SIGNS))
def test_a_price_in_the_other_sign_is_never_another_price(price: Decimal, sign: str) -> None:
    """With two decimals, it is rejected: the other sign separates groups of three."""
    other = "," if sign == "." else "."
    data = f"sku;price\n1;{str(price).replace('.', other)}\n".encode()
    outcome = read_with(data, options_for("csv", decimal_sign=sign))
    assert (outcome.items, [row.code for row in outcome.rejects]) == ([], ["price"])

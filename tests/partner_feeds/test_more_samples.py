"""Files like those that partners complain about, written here."""

from __future__ import annotations

import gzip
from decimal import Decimal

import pytest

from tests.partner_feeds.support import read

ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:shop="http://base.google.com/ns/1.0"
      xmlns:g="http://other.example/ns">
  <title>Not a product</title>
  <entry><shop:id>A-1</shop:id><title>Atom title</title><summary>Short</summary>
    <g:price>1.00 EUR</g:price><shop:price>7.50 EUR</shop:price>
    <shop:availability>preorder</shop:availability></entry>
  <entry><id>A-2</id><shop:id>A-2</shop:id><shop:title>First</shop:title><title>Second</title>
    <content>Long</content><shop:price>USD 7.50</shop:price></entry>
</feed>"""
ONIX_SHORT = """<?xml version="1.0"?><ONIXmessage release="3.0"%s>
<product><a001>r1</a001><a002>03</a002><productidentifier><b221>15</b221>
<b244>9780000000002</b244></productidentifier></product></ONIXmessage>"""
SHORT = ' xmlns="http://ns.editeur.org/onix/3.0/short"'
HTML = b"""\xef\xbb\xbf
<!-- cached --><!DOCTYPE html><html><head><title>Log in</title></head>
<body>sku,name,price</body></html>"""


def test_atom_is_read_by_namespace_whatever_the_prefix() -> None:
    outcome = read(ATOM.encode(), "xml", "google")
    assert outcome.rows == [(5, "A-1", Decimal("7.50"), 0)]
    assert (outcome.items[0].name, outcome.items[0].description) == ("Atom title", "Short")
    assert (outcome.rejected, outcome.code) == ([(8, "currency")], "")
    second = read(ATOM.encode(), "xml", "google", currency="USD").items
    assert [(row.sku, row.name, row.description) for row in second] == [("A-2", "First", "Long")]


def test_a_control_character_refuses_xml() -> None:
    data = b'<rss xmlns:g="http://base.google.com/ns/1.0">\n<item><g:id>1</g:id><title>a\x0bb'
    outcome = read(data + b"</title></item></rss>", "xml", "google")
    assert (outcome.items, outcome.code) == ([], "broken_xml")
    assert str(outcome.error) == (
        "The file is not valid XML in line 2, column 29: not well-formed (invalid token)."
    )


@pytest.mark.parametrize("bad", [b"caf\xe9", b"\x80", b"\xc3(", b"\xed\xa0\x80", b"\xff\xfe"])
def test_one_row_with_bad_bytes_is_rejected_with_its_number(bad: bytes) -> None:
    data = b"sku,name,price\n1,good,1.00\n2," + bad + b",1.00\n3,also good,1.00\n"
    outcome = read(data)
    assert [row.sku for row in outcome.items] == ["1", "3"]
    assert (outcome.rejected, outcome.code) == ([(3, "encoding")], "")
    assert outcome.rejects[0].sentence == "There are bytes that do not fit the feed's encoding."


def test_xml_that_declares_the_wrong_encoding_is_refused_unless_set() -> None:
    data = b'<?xml version="1.0" encoding="UTF-8"?>\n<r><p><sku>1</sku><name>K\xe4se</name></p></r>'
    assert read(data, "xml").code == "broken_xml"
    assert [row.name for row in read(data, "xml", encoding="iso-8859-1").items] == ["Käse"]


def test_text_that_is_utf_8_and_was_read_as_another_encoding_is_rejected() -> None:
    data = "sku,name\n1,Müller\n2,Straße €\n3,plain\n".encode()
    assert read(data, encoding="cp1252").rejected == [(2, "encoding"), (3, "encoding")]
    assert [row.name for row in read(data).items] == ["Müller", "Straße €", "plain"]


def test_rows_with_more_or_fewer_cells_are_rejected_and_blank_rows_are_nothing() -> None:
    data = (
        b"sku,name,price,stock\n\n1,a,1.00,1\n2,b,1.00,1,\n3,c,1.00\n,,,\n  \n , ,\n4\n5,d,2.00,2"
    )
    outcome = read(data)
    assert outcome.rows == [(3, "1", Decimal("1.00"), 1), (10, "5", Decimal("2.00"), 2)]
    assert outcome.rejected == [(4, "cell_count"), (5, "cell_count"), (9, "cell_count")]
    assert [reject.sentence for reject in outcome.rejects] == [
        "The row has 5 cells, but there are 4 columns.",
        "The row has 3 cells, but there are 4 columns.",
        "The row has 1 cell, but there are 4 columns.",
    ]
    assert outcome.rejects[0].cells == {
        **dict(zip(("sku", "name", "price", "stock"), ("2", "b", "1.00", "1"), strict=True)),
        "5": "",
    }


def test_columns_without_a_name_may_be_there_several_times() -> None:
    assert read(b"sku,name,,\n1,a,x,y\n").rows == [(2, "1", None, None)]


@pytest.mark.parametrize("file_format", ["csv", "tsv", "json", "jsonl", "xml"])
@pytest.mark.parametrize(
    "page", [HTML, b"<html>", b" \n<HTML lang=de>", b"<!doctype HTML>", b"<body class=x>"]
)
def test_a_web_page_is_refused_in_every_format(file_format: str, page: bytes) -> None:
    outcome = read(page, file_format)
    assert (outcome.items, outcome.rejects, outcome.code) == ([], [], "html")


def test_a_page_with_many_comments_is_recognized_at_once() -> None:
    """With backtracking, each comment doubles the time."""
    assert read(b"<!---->" * 200 + b"sku").code == "no_header"
    assert read(b"<!---->" * 200 + b"<html>").code == "html"


def test_gzip_members_are_one_file() -> None:
    first, second = gzip.compress(b"sku,price\n1,1.00\n2,"), gzip.compress(b"2.00\n")
    rows = [(2, "1", Decimal("1.00"), None), (3, "2", Decimal("2.00"), None)]
    assert read(first + second).rows == rows
    assert read(first + b"\0" * 512 + second + b"\0" * 512).rows == rows
    assert read(first + b"\0" * 200_000 + second).rows == rows
    assert read(first + second[:-1]).code == "cut"
    assert read(first + b"rubbish").code == "broken_gzip"


def test_the_first_member_may_be_shorter_than_a_byte_order_mark() -> None:
    members = [gzip.compress(part) for part in (b"\xef\xbb", b"\xbfsku,price\n1,1.00\n")]
    assert read(b"".join(members)).rows == [(2, "1", Decimal("1.00"), None)]
    blank = gzip.compress(b"\n") + gzip.compress(b"sku,price\n1,1.00\n")
    assert read(blank).rows == [(3, "1", Decimal("1.00"), None)]


def test_damaged_gzip_is_refused() -> None:
    data = bytearray(gzip.compress(b"sku,price\n1,1.00\n"))
    data[-6] ^= 1  # in the check sum
    outcome = read(bytes(data))
    assert outcome.code == "broken_gzip"


# price and stock of a row, and what becomes of it
EDGES = {
    ("0", "1"): "price_not_positive",
    ("0.00", "1"): "price_not_positive",
    ("-1.00", "1"): "price_not_positive",
    ("NaN", "1"): "price",
    ("inf", "1"): "price",
    ("Infinity", "1"): "price",
    ("1e2", "1"): "price",
    ("1.005", "1"): "price_decimals",
    ("1.50 EUR", "1"): "1.50",
    ("0.01", "1"): "0.01",
    ("99999999.99", "1"): "99999999.99",
    ("100000000.00", "1"): "price_too_high",
    ("1.00", "-1"): "stock_negative",
    ("1.00", "1.5"): "stock_not_whole",
    ("1.00", "many"): "stock",
    ("1.00", "in stock"): "stock",
    ("1.00", "1000000000"): "1.00",
    ("1.00", "1000000001"): "stock_too_high",
    ("1.00", "99999999999999999999"): "stock_too_high",
    ("1.00", "1e3"): "stock",
    ("1.00", ""): "1.00",
    ("", "0"): "None",
}


def test_prices_and_stocks_at_the_edges() -> None:
    rows = "".join(f"k{number},{price},{stock}\n" for number, (price, stock) in enumerate(EDGES, 2))
    outcome = read(f"sku,price,stock\n{rows}".encode())
    results = {row.line: str(row.price) for row in outcome.items} | dict(outcome.rejected)
    assert [results[line] for line in sorted(results)] == list(EDGES.values())


@pytest.mark.parametrize("column", ["sku", "name", "price", "stock", "ean"])
def test_a_nul_byte_rejects_the_row(column: str) -> None:
    names = ["sku", "name", "price", "stock", "ean"]
    cells = {"sku": "1", "name": "a", "price": "1.00", "stock": "1", "ean": "4006381333931"}
    cells[column] = cells[column][:1] + "\0" + cells[column][1:]
    lines = [",".join(names), ",".join(cells.values()), "2,b,2.00,2,"]
    outcome = read("\n".join(lines).encode())
    assert outcome.rows == [(3, "2", Decimal("2.00"), 2)]
    assert outcome.rejected == [(2, "control_character")]
    assert outcome.rejects[0].sentence == "There is a control character, U+0000."


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|", "#", "~"])
def test_excels_first_line_names_the_delimiter(mark: str, delimiter: str) -> None:
    data = f"{mark}sep={delimiter}\r\nsku,price,stock\r\n1,2.00,3\r\n".replace(",", delimiter)
    assert read(data.encode()).rows == [(3, "1", Decimal("2.00"), 3)]


def test_a_quote_is_no_delimiter() -> None:
    assert read(b'sep="\nsku"price\n1"2\n').code == "no_header"


def test_the_header_is_within_the_first_ten_lines() -> None:
    rows = b"Sku;Price\n1;2.00\n"
    assert read(b"a label\n" * 9 + rows).rows == [(11, "1", Decimal("2.00"), None)]
    outcome = read(b"a label\n" * 10 + rows)
    assert str(outcome.error) == (
        "None of the first 10 lines has the columns 'sku' and one of 'active', 'category', "
        "'description', 'ean', 'name', 'price', 'stock'. The first line is 'a label'."
    )


def test_magento() -> None:
    data = (
        b"sku,store_view_code,name,price,special_price,qty,is_in_stock,additional_attributes\n"
        b'" M-1 ",,Kettle,34.000000,29.990000,4.0000,1,"color=red,size=S"\n'
        b'M-1,de,Kessel,,,,,"color=rot"\n'
        b"M-2,,Pan,19.995000,,2.5000,1,\n"
    )
    outcome = read(data, "csv", "magento")
    assert outcome.rows == [(2, "M-1", Decimal("34.00"), 4), (3, "M-1", None, None)]
    assert outcome.rejected == [(4, "stock_not_whole")]


def test_onix_in_short_tags_is_refused_with_what_was_found() -> None:
    assert str(read((ONIX_SHORT % SHORT).encode(), "xml").error) == (
        "The file is XML with the root <{http://ns.editeur.org/onix/3.0/short}ONIXmessage>, "
        "but has no <product> or <item> or <p> that plain reads."
    )
    # Without its namespace, it has elements that are named like records of the shop.
    outcome = read((ONIX_SHORT % "").encode(), "xml")
    assert (outcome.items, outcome.rejected, outcome.code) == ([], [(2, "no_key")], "no_good_row")
    assert str(outcome.error) == (
        "No row of 1 can be taken. The most frequent reason: The row has no 'sku', but "
        "'a001', 'a002', 'productidentifier/b221', 'productidentifier/b244'."
    )


@pytest.mark.parametrize("names", ["id\ttitle\tproduct_type", "ID\tTitle\tproduct type"])
def test_google_as_text(names: str) -> None:
    data = (
        f"{names}\tprice\tavailability\tgtin\n"
        'T1\t5" "tube"\tPipes\t15.00 EUR\tin_stock\t4006381333931\n'
        "T2\tHose\t\tEUR 1,015.00\tout of stock\t\n"
        "T3\tTap\t\t15.00 USD\tbackorder\t\n"
        "T4\tTap\t\t15.00 EUR\tsoon\t\n"
    )
    outcome = read(data.encode(), "tsv", "google")
    assert [(row.sku, row.name, row.category, row.ean, row.stock) for row in outcome.items] == [
        ("T1", '5" "tube"', "Pipes", "4006381333931", None),
        ("T2", "Hose", None, None, 0),
    ]
    assert [row.price for row in outcome.items] == [Decimal("15.00"), Decimal("1015.00")]
    assert outcome.rejected == [(4, "currency"), (5, "availability")]


def test_a_file_without_one_good_row_is_refused_with_the_most_frequent_reason() -> None:
    outcome = read(b"sku,price\n1,x\n2,-5\n3,-6\n,1.00\n")
    assert outcome.rejected == [
        *((2, "price"), (3, "price_not_positive"), (4, "price_not_positive"), (5, "no_key")),
    ]
    assert str(outcome.error) == (
        "No row of 4 can be taken. The most frequent reason: The price -5 is not above 0."
    )


def test_the_first_of_several_product_types_is_the_category() -> None:
    data = b"""<rss xmlns:g="http://base.google.com/ns/1.0"><channel><item><g:id>1</g:id>
    <title>Pan</title><g:product_type>Kitchen</g:product_type><g:product_type>Pots</g:product_type>
    </item></channel></rss>"""
    outcome = read(data, "xml", "google")
    assert [item.category for item in outcome.items] == ["Kitchen"]


def test_a_sentence_has_names_as_people_write_them() -> None:
    data = b"""<rss xmlns:g="http://base.google.com/ns/1.0"><channel><item><g:id>1</g:id>
    <title>Pan</title></item><item><title>Pot</title><g:price>1.00 EUR</g:price></item></channel>
    </rss>"""
    sentences = [(row.line, row.sentence) for row in read(data, "xml", "google").rejects]
    assert sentences == [(2, "The row has no 'id', but 'title', 'price'.")]

"""Files in chunks, files that are cut, limits, and formats that are added."""

from __future__ import annotations

import gzip
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest

from partner_feeds.reading import formats, json_scanner, unpack
from partner_feeds.reading.formats import xml_records
from partner_feeds.reading.items import read_items
from partner_feeds.reading.options import Limits
from partner_feeds.reading.problems import FeedError, Reject
from partner_feeds.reading.record import Record
from tests.partner_feeds.support import SAMPLES, Outcome, options_for, read
from tests.partner_feeds.test_samples import CASES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from partner_feeds.reading.options import Options

JSON = '[{"sku":"Ä1","price":1.50,"stock":-0.0e+1},\n {"sku":"\\ud83d\\ude00","price":"2"} ]\n'
WRAPPED = '{"total":1.5e+3,"a":[1,{}],"products":[{"sku":"1","price":2}],"next":null}'
XML = """<?xml version="1.0" encoding="utf-8"?>
<r><!-- two --><p><sku>Ä1</sku><price>1.50</price></p><p><sku><![CDATA[2]]></sku></p>
</r>"""
CSV = 'sku,name,price\n1,"a ""b""\nc",1.50\n2,Ä,2.00\n'


def comparable(outcome: Outcome) -> tuple[object, ...]:
    return outcome.items, outcome.rejects, outcome.code, str(outcome.error)


def small_chunks(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    for module in (unpack, json_scanner, xml_records):
        monkeypatch.setattr(module, "CHUNK", size)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    files = [(SAMPLES / name).read_bytes() for name in CASES]
    settings = [case[:3] for case in CASES.values()]
    for text, file_format in ((JSON, "json"), (WRAPPED, "json"), (XML, "xml"), (CSV, "csv")):
        files += [text.encode(), gzip.compress(text.encode())]
        settings += [(file_format, "plain", {})] * 2
    whole = [
        read(data, file_format, mapping, **rest)
        for data, (file_format, mapping, rest) in zip(files, settings, strict=True)
    ]
    small_chunks(monkeypatch, size)
    for data, (file_format, mapping, rest), expected in zip(files, settings, whole, strict=True):
        outcome = read(data, file_format, mapping, **rest)
        assert comparable(outcome) == comparable(expected), data


def test_a_source_may_give_fewer_bytes_than_asked_for() -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(1, size or 0))

    rows = list(read_items(Trickle(b"\xef\xbb\xbf" + CSV.encode()), options_for("csv")))
    assert rows == read(CSV.encode()).items


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_numbers_outside_records_may_cross_a_chunk(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    small_chunks(monkeypatch, size)
    for number in ("1.25", "1e5", "1e+5", "-1.5E-10", "12345", "0"):
        data = f'{{"total":{number},"products":[{{"sku":"1","price":2}}]}}'
        assert read(data.encode(), "json").rows == [(1, "1", Decimal("2.00"), None)]


@pytest.mark.parametrize(("text", "file_format"), [(JSON, "json"), (WRAPPED, "json"), (XML, "xml")])
def test_a_file_cut_at_any_byte_is_refused(text: str, file_format: str) -> None:
    data = text.strip().encode()
    whole = read(data, file_format)
    assert (whole.error, whole.items != []) == (None, True)
    codes = [read(data[:end], file_format).code for end in range(len(data))]
    assert (codes[0], set(codes[1:])) == ("empty", {"cut"})


@pytest.mark.parametrize(
    ("text", "file_format"), [(JSON, "json"), (XML, "xml"), (CSV, "csv"), (CSV, "tsv")]
)
def test_gzip_cut_at_any_byte_is_refused(text: str, file_format: str) -> None:
    data = gzip.compress(text.encode(), mtime=0)
    assert read(data, file_format).items
    codes = [read(data[:end], file_format).code for end in range(len(data))]
    assert (codes[0], set(codes[2:])) == ("empty", {"cut"})
    assert codes[1]  # one byte is not gzip yet


def test_gzip_cut_in_its_second_member_is_refused() -> None:
    first = gzip.compress(b"sku,price\n1,1.00\n", mtime=0)
    second = gzip.compress(b"2,2.00\n", mtime=0)
    assert len(read(first + second).items) == 2
    for end in range(1, len(second)):
        assert read(first + second[:end]).code == "cut"


def test_csv_cut_inside_a_quote_is_refused() -> None:
    data = b'sku,name\n1,"one"\n2,"two\nlines"\n'
    for cut in range(data.index(b'"two') + 1, data.index(b'lines"') + len(b"lines")):
        outcome = read(data[:cut])
        assert ([row.sku for row in outcome.items], outcome.code) == (["1"], "open_quote")
        assert str(outcome.error) == (
            "A quote in the row that begins in line 3 is not closed, so the rest of the file "
            "cannot be read."
        )


def test_json_lines_cut_inside_the_last_line_are_refused() -> None:
    data = b'{"sku":"1","price":1}\n{"sku":"2","price":1}'
    assert read(data, "jsonl").code == ""
    for end in range(data.index(b"\n") + 2, len(data)):
        outcome = read(data[:end], "jsonl")
        assert ([row.sku for row in outcome.items], outcome.code) == (["1"], "cut")


@pytest.mark.parametrize(
    ("data", "file_format", "code"),
    [
        *((b"{}", "json", "no_records"), (b"[]", "json", "no_rows"), (b"[ ]", "json", "no_rows")),
        *((b'{"products":[]}', "json", "no_rows"), (b'{"a":1}', "json", "no_records")),
        *((b'{"products":null}', "json", "no_rows"), (b'"x"', "json", "not_json")),
        *((b"sku,price\n1,2\n", "json", "not_json"), (b"[1,]", "json", "broken_json")),
        *((b"[{}] x", "json", "after_the_end"), (b"[{}}", "json", "broken_json")),
        *((b"[{'sku':1}]", "json", "broken_json"), (b"{a:1}", "json", "broken_json")),
        *((b"[nul]", "json", "broken_json"), (b"[01]", "json", "broken_json")),
        *((b"[" * 100_000 + b"]", "json", "too_deep"), (b'[{"sku":"a"', "json", "cut")),
        *(
            ("[]".encode("utf-16"), "json", "encoding"),
            ("{}".encode("utf-16"), "jsonl", "encoding"),
        ),
        *((b"<r/>", "xml", "no_records"), (b"<r></q>", "xml", "broken_xml")),
        *((b"<r/><r/>", "xml", "broken_xml"), (b"sku,price", "xml", "broken_xml")),
        *((b"<a>" * 101, "xml", "too_deep"), (b"<r>&x;</r>", "xml", "broken_xml")),
        *((b'<?xml version="1.0" encoding="klingon"?><r/>', "xml", "encoding"),),
        *((b'<?xml version="1.0" encoding="shift_jis"?><r/>', "xml", "encoding"),),
        *(
            (b"\xef\xbb\xbf", "csv", "empty"),
            (b"\xff\xfe", "csv", "empty"),
            (b" \n", "csv", "empty"),
        ),
        *((b"a,b\n1,2\n", "csv", "no_header"), (b"sku\n1\n", "csv", "no_header")),
        *((b"sku,price,Price\n1,2,3\n", "csv", "column_twice"), (b"1", "gif", "unknown_format")),
    ],
)
def test_files_that_are_refused(data: bytes, file_format: str, code: str) -> None:
    outcome = read(data, file_format)
    assert (outcome.items, outcome.code) == ([], code)


@pytest.mark.parametrize(
    ("data", "row"),
    [
        (b'[{"sku":"1","sku":"2"}]', "name_twice"),
        (b'[{"sku":"1","name":"a","NAME":"b"}]', "name_twice"),
        (b'[{"sku":"1","price":{"a":1,"a":2}}]', "name_twice"),
        (b'[{"sku":"1","price":NaN}]', "not_a_number"),
        (b'[{"sku":"1","price":-Infinity}]', "not_a_number"),
        (b'[{"sku":"1","price":1e99999999999999999999}]', "not_a_number"),
        (b'[{"sku":"1","price":1e400}]', "price_too_high"),
        (b'[{"sku":"1","name":"\\ud800"}]', "encoding"),
        (b'[{"sku":"1","name":"\\u0000"}]', "control_character"),
        (b'[{"sku":"1","name":"caf\xe9"}]', "encoding"),
        (b'[{"sku":"1","name":5}]', "not_text"),
        (b'[{"sku":"1","name":["a"]}]', "several_values"),
        (b"[[]]", "not_a_record"),
        (b"[null]", "not_a_record"),
        (b"[NaN]", "not_a_number"),
        (b'[{"name":"x"}]', "no_key"),
    ],
)
def test_one_json_record_is_rejected_and_the_others_go_on(data: bytes, row: str) -> None:
    both = data[:-1] + b',{"sku":"9","price":"1.00"}]'
    outcome = read(both, "json")
    assert outcome.rows == [(2, "9", Decimal("1.00"), None)]
    assert (outcome.rejected, outcome.code) == ([(1, row)], "")


def test_quotes_that_do_not_match_reject_their_rows_only() -> None:
    data = b'sku,name\n1,"a"b\n2,"a\nb"c\n3,a"b\n4,"a""b"\n'
    outcome = read(data)
    assert [(row.line, row.name) for row in outcome.items] == [(5, 'a"b'), (6, 'a"b')]
    assert [(row.line, row.sentence) for row in outcome.rejects] == [
        (2, "The quotes in line 2 do not match."),
        (3, "The quotes in lines 3 to 4 do not match."),
    ]


def test_xml_elements_that_repeat_or_mix_reject_their_records() -> None:
    data = b"""<r><p><sku>1</sku><name>a</name><name>a</name></p>
    <p><sku>2</sku><name>a<b>c</b></name></p><p><sku>3</sku><name> <b>c</b> </name></p>
    <p><sku>4</sku><x>a</x><x>b</x><x>c</x></p><p>5</p></r>"""
    outcome = read(data, "xml")
    assert [(row.sku, row.name) for row in outcome.items] == [("3", None), ("4", None)]
    assert outcome.rejected == [(1, "several_values"), (2, "mixed"), (3, "no_key")]
    assert outcome.rejects[0].cells == {"sku": "1", "name": ["a", "a"]}


def test_a_document_type_is_allowed_if_it_declares_nothing() -> None:
    for declared in ("", "[]", "[<!ELEMENT r ANY>]"):
        data = f'<!DOCTYPE r SYSTEM "http://x.invalid/r.dtd" {declared}><r><p><sku>1</sku></p></r>'
        assert read(data.encode(), "xml").code == ("dtd" if declared else "")
    undefined = b'<!DOCTYPE r SYSTEM "r.dtd"><r><p><sku>1&x;</sku></p></r>'
    assert str(read(undefined, "xml").error) == "Line 1: XML knows no entity &x; here."


@pytest.mark.parametrize("declared", ["utf-8", "iso-8859-1"])
@pytest.mark.parametrize("encoding", ["", "cp1252"])
@pytest.mark.parametrize("coded", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_wins(declared: str, encoding: str, coded: str) -> None:
    xml = f'<?xml version="1.0" encoding="{declared}"?><r><p><sku>1</sku><name>ä</name></p></r>'
    outcome = read(xml.encode(coded), "xml", encoding=encoding)
    assert [row.name for row in outcome.items] == ["ä"]
    assert [row.name for row in read("sku,name\n1,ä".encode(coded), encoding=encoding).items] == [
        "ä"
    ]


ROWS = b"sku,name\n" + b"".join(b"%d,x\n" % number for number in range(100))
RECORDS = json.dumps([{"sku": str(number), "name": "x"} for number in range(100)]).encode()
TREE = b"<r>" + b"".join(b"<p><sku>%d</sku></p>" % number for number in range(100)) + b"</r>"
LINES = RECORDS[1:-1].replace(b"}, ", b"}\n")


@pytest.mark.parametrize(
    ("data", "file_format"),
    [(ROWS, "csv"), (ROWS, "tsv"), (RECORDS, "json"), (LINES, "jsonl"), (TREE, "xml")],
)
def test_limits_of_a_file(data: bytes, file_format: str) -> None:
    size, packed = len(data), gzip.compress(data)

    def code(file: bytes, **limits: Any) -> str:
        return read(file, file_format, limits=Limits(**limits)).code

    assert code(data, rows=100, packed_bytes=size, unpacked_bytes=size) == ""
    assert code(data, rows=99) == "too_many_rows"
    assert code(data, packed_bytes=size - 1) == "too_large"
    assert code(data, unpacked_bytes=size - 1) == "too_large"
    assert code(packed, packed_bytes=len(packed), unpacked_bytes=size) == ""
    assert code(packed, packed_bytes=len(packed) - 1) == "too_large"
    assert code(packed, unpacked_bytes=size - 1) == "too_large"


def test_the_ratio_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"sku,name\n1,x\n" + b"\n" * 100_000)
    assert read(packed).code == ""  # so few bytes may pack well
    monkeypatch.setattr(unpack, "RATIO_FROM_BYTES", 10_000)
    assert read(packed).code == "packed_too_well"
    assert read(packed, limits=Limits(ratio=2000)).code == ""


def large(cell: str) -> dict[str, bytes]:
    """Return files whose second record has a cell like this."""
    return {
        "csv": f"sku,name\n1,x\n2,{cell}\n".encode(),
        "tsv": f"sku\tname\n1\tx\n2\t{cell}\n".encode(),
        "json": f'[{{"sku":"1","name":"x"}},{{"sku":"2","name":"{cell}"}}]'.encode(),
        "jsonl": f'{{"sku":"1","name":"x"}}\n{{"sku":"2","name":"{cell}"}}\n'.encode(),
        "xml": f"<r><p><sku>1</sku></p><p><sku>2</sku><name>{cell}</name></p></r>".encode(),
    }


@pytest.mark.parametrize("file_format", ["csv", "tsv", "json", "jsonl", "xml"])
@pytest.mark.parametrize("size", [0, 1, 7])
def test_the_size_of_a_record_is_limited(
    monkeypatch: pytest.MonkeyPatch, file_format: str, size: int
) -> None:
    if size:
        small_chunks(monkeypatch, size)
    most = Limits(record_bytes=200)
    assert len(read(large("x" * 150)[file_format], file_format, limits=most).items) == 2
    outcome = read(large("x" * 201)[file_format], file_format, limits=most)
    assert (len(outcome.rejects), outcome.code) == (0, "row_too_large")


@pytest.mark.parametrize("file_format", ["csv", "tsv"])
def test_a_cell_beyond_the_csv_module_is_refused(file_format: str) -> None:
    outcome = read(large("x" * 140_000)[file_format], file_format)
    assert str(outcome.error) == "Line 3, or a cell in it, has more than 131,072 characters."
    assert read(b"x" * 140_000, file_format).code == "no_header"


def test_a_row_of_too_many_lines_is_an_open_quote() -> None:
    rows = b'sku,name\n1,"' + b"\n" * 499 + b'"\n2,"' + b"\n" * 500 + b'"\n3,x\n'
    outcome = read(rows)
    assert ([row.line for row in outcome.items], outcome.code) == ([2], "open_quote")
    assert read(b"sku,name\n" + b"\n" * 2000 + b"1,x\n").rows == [(2002, "1", None, None)]
    lines = b'sku,name\n1,"' + b"x" * 99 + b"\n" + b"x" * 99 + b"\n"
    assert read(lines, limits=Limits(record_bytes=150)).code == "open_quote"


@pytest.mark.parametrize(
    "inside",
    [
        *("<" + "x" * 300 + "/>", "<x a='" + "x" * 300 + "'/>"),
        *("<!--" + "x" * 300 + "-->", "<x/>" * 300, "<?pi " + "x" * 300 + "?>"),
        *("<a>" * 20 + "<b/><c/><d/><e/><f/><g/><h/><i/>" + "</a>" * 20, "<q>x</q>" * 100),
    ],
)
def test_the_size_of_xml_is_limited_whatever_it_consists_of(
    monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    small_chunks(monkeypatch, 16)
    data = f"<r><p><sku>1</sku>{inside}</p></r>".encode()
    assert read(data, "xml").code == ""
    assert read(data, "xml", limits=Limits(record_bytes=200)).code == "row_too_large"


def test_nested_json_has_names_with_points_up_to_a_length() -> None:
    outcome = read(b'[{"sku":"1","a":{"b":{"c":1}}},{"name":"x"}]', "json")
    assert (outcome.rows, outcome.rejected) == ([(1, "1", None, None)], [(2, "no_key")])
    for depth in (90, 150, 900):
        deep = b'{"x":' * depth + b"1" + b"}" * depth
        assert read(b'[{"sku":"1","deep":%s}]' % deep, "json").rows == [(1, "1", None, None)]
    wide = json.dumps([{"sku": "1", "n" * 300_000: {f"a{number}": 1 for number in range(50_000)}}])
    assert read(wide.encode(), "json").rows == [(1, "1", None, None)]


def test_variants_are_records_with_what_the_product_says() -> None:
    data = b"""[{"title":"Mug","variants":[{"sku":"1","price":1},{"sku":"2","price":2},7]},
    {"title":"Pot","variants":[]},{"title":"Pan","variants":null}]"""
    outcome = read(data, "json", "variants")
    assert [(row.line, row.sku, row.name) for row in outcome.items] == [
        (1, "1", "Mug"),
        (1, "2", "Mug"),
    ]
    assert outcome.rejected == [(1, "not_a_record"), (2, "no_key"), (3, "no_key")]


def test_a_wrapper_without_a_list_is_refused_with_what_was_found() -> None:
    data = json.dumps({f"n{number}": 1 for number in range(100)}).encode()
    names = ", ".join(f"'n{number}'" for number in range(10))
    assert str(read(data, "json").error) == (
        f"The file is an object with {names}, but has no 'products' or 'items'."
    )


def test_a_format_is_added_by_registering_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """M1: it needs no change anywhere else, and has the limits of all formats."""
    monkeypatch.setattr(formats, "_readers", dict(formats._readers))

    @formats.register("fixed width")
    def read_fixed(file: BinaryIO, options: Options) -> Iterator[Record | Reject]:
        stream, _ = unpack.opened(file, options.limits)
        for number, line in enumerate(stream, 1):
            if len(line) < 10:
                yield Reject(number, "short", "The line is too short.", {})
            else:
                yield Record(number, {"sku": line[:5].decode(), "price": line[5:].decode()})

    data = b"A1   12.50\nA2\nA3    x.50\n"
    expected = ([(1, "A1", Decimal("12.50"), None)], [(2, "short"), (3, "price")])
    for file in (data, gzip.compress(data)):
        outcome = read(file, "fixed width")
        assert (outcome.rows, outcome.rejected) == expected
    assert read(data, "fixed width", limits=Limits(rows=2)).code == "too_many_rows"
    assert formats.names() == ["csv", "fixed width", "json", "jsonl", "tsv", "xml"]


def test_rows_are_given_before_the_file_is_read_to_its_end() -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1, /) -> bytes:
            return b"1,2.00\n" * (size // 7)

    class Started(Endless):
        first = b"sku,price\n"

        def read(self, size: int = -1, /) -> bytes:
            head, self.first = self.first, b""
            return head + super().read(size)

    source: Any = Started()
    rows = read_items(source, options_for("csv"))
    assert [next(rows).line for _ in range(3)] == [2, 3, 4]


def test_an_error_at_the_end_comes_after_all_rows() -> None:
    rows = read_items(io.BytesIO(XML.encode()[:-4]), options_for("xml"))
    assert [next(rows).line for _ in range(2)] == [2, 2]
    with pytest.raises(FeedError, match=r"its XML ends in line 3, column 1\.$"):
        next(rows)

"""JSON feeds of several pages: one document after another, each but the last naming a next one."""

from __future__ import annotations

import gzip
import io
import json

import pytest

from partner_feeds.reading import json_scanner, unpack
from partner_feeds.reading.mapping import Mapping
from partner_feeds.reading.pages import next_page
from tests.partner_feeds.support import options_for, read

LISTED = Mapping(
    name="listed",
    fields={"sku": ("sku",), "name": ("name",), "price": ("price",)},
    lists=("products",),
)


def page(*skus: str, **more: object) -> bytes:
    rows = [{"sku": sku, "name": "Pan", "price": "9.00"} for sku in skus]
    return json.dumps({"products": rows, **more}).encode()


def found(data: bytes) -> tuple[list[tuple[int, str]], str]:
    outcome = read(data, "json", LISTED)
    return [(item.line, item.sku) for item in outcome.items], outcome.code


@pytest.mark.parametrize("size", [1, 7, 65536])
@pytest.mark.parametrize("between", [b"", b"\n", b" \r\n\t"])
def test_pages_are_read_as_one_file(
    monkeypatch: pytest.MonkeyPatch, size: int, between: bytes
) -> None:
    for module in (unpack, json_scanner):
        monkeypatch.setattr(module, "CHUNK", size)
    pages = (page("A", "B", next="?2"), page(next="?3"), page("C", next=None))
    assert found(between.join(pages)) == ([(1, "A"), (2, "B"), (3, "C")], "")


def test_pages_may_be_packed_one_by_one() -> None:
    packed = gzip.compress(page("A", next="?2")) + gzip.compress(page("B"))
    assert found(packed) == ([(1, "A"), (2, "B")], "")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (page("A", next="?2"), "more_pages"),
        (page("A", next="?2") + page("B", next="?3"), "more_pages"),
        (page("A", next="?2") + page("B", next="?3")[:-5], "cut"),
        (page("A", next="?2") + b"[]", "broken_json"),
        (page("A", next="?2") + b"{}", "no_records"),
        (page("A", next="?2") + b'{"error": "busy"}', "no_records"),
        (page("A") + page("B"), "after_the_end"),
        (b"[]" + page("B"), "after_the_end"),
    ],
)
def test_what_is_not_all_the_pages_is_refused(data: bytes, code: str) -> None:
    assert found(data)[1] == code


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (page("A", "B", next="/p?2"), "/p?2"),
        (b'{"next": "https://a.example/", "products": [1, {"next": "/no"}]}', "https://a.example/"),
        (b'\xef\xbb\xbf{"next": "/p?2", "products": []}', "/p?2"),
        (gzip.compress(page("A", next="/p?2"), mtime=0), "/p?2"),
        (b'{"count": ' + b"9" * 5000 + b', "next": "/p?2"}', "/p?2"),
        (page("A", next=None), ""),
        (page("A", next=7), ""),
        (page("A", next={"href": "/p"}), ""),
        (page("A"), ""),
        (page("A", next="/p?2")[:-1], ""),
        (b'[{"next": "/no"}]', ""),
        (b"", ""),
        (b"<html>", ""),
        (b'{"next": "/p?2"', ""),
        (b"[" * 100_000, ""),
    ],
)
def test_the_next_page_is_found(data: bytes, expected: str) -> None:
    assert next_page(io.BytesIO(data), options_for("json", LISTED)) == expected


def test_only_the_page_from_the_files_position_on_is_looked_at() -> None:
    first = page("A", next="?2")
    file = io.BytesIO(first + page("B", next="?3"))
    file.seek(len(first))
    assert next_page(file, options_for("json", LISTED)) == "?3"

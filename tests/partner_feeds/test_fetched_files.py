"""Fetching a file: what it takes from a server, and how long that may take."""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings as shop

from partner_feeds import fetching, files
from partner_feeds.fetching import Fetched
from partner_feeds.models import Partner
from partner_feeds.reading.options import Limits
from tests.partner_feeds.asking import at, fetched, refused
from tests.partner_feeds.servers import (
    HOST,
    OTHER,
    Reply,
    Server,
    answer,
    dribble,
    endless,
    ok,
    redirect,
)
from tests.partner_feeds.taking_in import FILE

pytestmark = pytest.mark.django_db


@pytest.fixture
def partner(partner: Partner, server: Server) -> Partner:
    """Let its file be fetched from the server."""
    partner.address, partner.allow_http = at(server, "/a.csv"), True
    partner.save()
    return partner


CHUNKED = "Transfer-Encoding: chunked"
CHUNKS = b"4;x=y\r\nsku,\r\n2\r\na\n\r\n0\r\nT: x\r\n\r\n"


def silent(client: object) -> None:
    threading.Event().wait(2)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (ok(FILE), FILE),
        (
            answer("200 OK", CHUNKED, body=b"4;x=y\r\nsku,\r\n2\r\na\n\r\n0\r\nT: x\r\n\r\n"),
            b"sku,a\n",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\n" + FILE, FILE),  # until it hangs up
        (ok(gzip.compress(FILE, mtime=0), "Content-Encoding: GZIP"), None),
        (answer("100 Continue") + ok(FILE), FILE),
        (ok(FILE, "Last-Modified: soon"), FILE),
        (ok(FILE, "Last-Modified: Fri, 27 Nov 2099 03:00:00 GMT"), FILE),
    ],
)
def test_files_of_all_kinds_of_servers(
    partner: Partner, server: Server, reply: bytes, expected: bytes | None
) -> None:
    server["/a.csv"] = reply
    content, result = fetched(partner)
    assert content == (expected or content)
    assert expected or gzip.decompress(content) == FILE
    assert result == Fetched(None, 1)


def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files have 1,024 bytes."""
    own = Partner.options
    limits = Limits(packed_bytes=1024)
    monkeypatch.setattr(Partner, "options", lambda self: replace(own(self), limits=limits))


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (answer("204 No Content"), "empty"),
        (answer("206 Partial Content", "Content-Length: 2", body=b"a\n"), "cut"),
        (answer("201 Created", "Content-Length: 2", body=b"a\n"), "bad_answer"),
        (answer("304 Not Modified"), "bad_answer"),
        (answer("300 Multiple Choices", "Content-Length: 0"), "bad_answer"),
        (answer("401 Unauthorized", "Content-Length: 0"), "not_allowed"),
        (answer("403 Forbidden", "Content-Length: 0"), "not_allowed"),
        (answer("404 Not Found", "Content-Length: 0"), "not_found"),
        (answer("410 Gone", "Content-Length: 0"), "not_found"),
        (answer("503 Service Unavailable", "Content-Length: 0"), "bad_answer"),
        (answer("799 Whatever", "Content-Length: 0"), "bad_answer"),
        (ok(b""), "empty"),
        (answer("200 OK", CHUNKED, body=b"0\r\n\r\n"), "empty"),
        (ok(FILE, length=len(FILE) + 1), "cut"),
        (answer("200 OK", CHUNKED, body=b"5\r\nsku"), "cut"),
        (answer("200 OK", CHUNKED, body=b"3\r\nsku\r\n"), "cut"),
        (answer("200 OK", CHUNKED, body=b"zz\r\nsku\r\n"), "cut"),
        (ok(FILE, "Content-Encoding: br"), "bad_answer"),
        (ok(FILE, length=1025), "too_large"),
        (ok(FILE, length=10**18), "too_large"),
        (endless(b"x" * 1000, b"HTTP/1.0 200 OK\r\n\r\n"), "too_large"),
        (endless(b"1\r\nx\r\n", answer("200 OK", CHUNKED)), "too_large"),
        (endless(b"X: y\r\n", b"HTTP/1.1 200 OK\r\n"), "bad_answer"),
        (endless(b"x" * 1000, b"HTTP/1.1 200 OK\r\nX: "), "bad_answer"),
        (endless(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"), "bad_answer"),
        (b"", "bad_answer"),
        (b"nonsense", "bad_answer"),
        (b"\x16\x03\x01\x00\xa5\x01\x00", "bad_answer"),
    ],
)
def test_what_is_no_whole_file_is_refused(
    partner: Partner, server: Server, monkeypatch: pytest.MonkeyPatch, reply: Reply, code: str
) -> None:
    monkeypatch.setattr(fetching, "HEAD_BYTES", 16 * 1024)
    limit(monkeypatch)
    server["/a.csv"] = reply
    assert refused(partner)[0] == code


@pytest.mark.parametrize(
    "reply",
    [
        silent,
        dribble(b"HTTP/1.1 200 OK\r\nX: "),
        dribble(answer("200 OK", "Content-Length: 1000000")),
        dribble(answer("200 OK")),
        dribble(b""),
        endless(b"X: y\r\n", answer("200 OK", CHUNKED, body=b"0\r\n")),
    ],
)
def test_a_slow_server_is_given_up(partner: Partner, server: Server, reply: Reply) -> None:
    server["/a.csv"] = reply
    code, sentence = refused(partner, seconds=0.4)
    assert (code, sentence) == ("too_slow", f"{HOST} did not send the whole file in time.")


def test_the_status_is_said(partner: Partner, server: Server) -> None:
    server["/a.csv"] = answer("503 <script>", "Content-Length: 0")
    sentence = f"{HOST} answered 503 Service Unavailable, and sent no file."
    assert refused(partner) == ("bad_answer", sentence)


def test_a_file_is_on_disk_while_it_arrives() -> None:
    folder = Path(shop.FILE_UPLOAD_TEMP_DIR)
    assert folder == shop.VAR_DIR / "incoming"  # a volume of web and worker
    with files.temporary() as file:
        assert Path(f"/proc/self/fd/{file.fileno()}").readlink().parent == folder
        left = [path for path in folder.iterdir() if path.stat().st_nlink]
    assert not left  # nothing that a killed process would leave


# --- Pages --------------------------------------------------------------------------------------
@pytest.fixture
def paged(partner: Partner, server: Server) -> Partner:
    partner.address, partner.format = at(server, "/p?k=1"), "json"
    return partner


def page(*skus: str, **more: object) -> bytes:
    return ok(json.dumps({"products": [{"sku": sku} for sku in skus], **more}).encode())


def test_pages_are_fetched_into_one_file(paged: Partner, server: Server) -> None:
    server["/p?k=1"] = redirect("/v2/p?k=1")
    server["/v2/p?k=1"] = page("A", next="?k=2")
    server["/v2/p?k=2"] = page("B", next=at(server, "/p/3"))
    server["/p/3"] = page("C", next=None)
    content, result = fetched(paged)
    assert content.count(b'"products"') == result.pages == 3
    assert server.paths == ["/p?k=1", "/v2/p?k=1", "/v2/p?k=2", "/p/3"]
    assert {server.headers(number)["Accept-Encoding"] for number in range(4)} == {"identity"}


@pytest.mark.parametrize(
    ("following", "code"),
    [
        ("?k=1", "page_loop"),
        (f"http://{OTHER}/p", "other_host"),
        ("ftp://a/", "bad_address"),
        ("/nowhere", "not_found"),
        ("x" * 5000, "bad_address"),
    ],
)
def test_which_pages_are_not_fetched(
    paged: Partner, server: Server, following: str, code: str
) -> None:
    server["/p?k=1"] = page("A", next=following)
    assert refused(paged)[0] == code


def test_pages_in_a_circle_or_without_an_end(
    paged: Partner, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server["/p?k=1"], server["/p?k=2"] = page("A", next="?k=2"), page("B", next="?k=3")
    server["/p?k=3"] = page("C", next="?k=2")
    assert refused(paged)[0] == "page_loop"
    server["/p?k=3"] = page("C")
    monkeypatch.setattr(fetching, "MOST_PAGES", 3)
    assert fetched(paged)[1].pages == 3
    server["/p?k=3"] = page("C", next="?k=4")
    assert refused(paged)[0] == "too_many_pages"
    assert len(server.requests) == 9


def test_the_limits_are_those_of_all_pages_together(
    paged: Partner, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch)
    server["/p?k=1"] = page("A" * 500, next="?k=2")
    server["/p?k=2"] = page("B" * 500)
    assert refused(paged) == ("too_large", "The file has more than 1,024 bytes.")
    server["/p?k=2"] = page("B" * 100)
    assert fetched(paged)[1].pages == 2


def test_only_json_has_pages(paged: Partner, server: Server) -> None:
    paged.format = "jsonl"
    server["/p?k=1"] = page("A", next="?k=2")
    assert fetched(paged)[1].pages == 1

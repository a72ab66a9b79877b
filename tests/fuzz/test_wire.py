"""Malformed HTTP sent over raw connections to a running shop."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from tests.fuzz import bytes as odd
from tests.running.support import PATIENCE, RunningShop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = b"Host: localhost\r\n"
POST = b"POST /accounts/login/ HTTP/1.1\r\n" + HOST
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
MULTIPART = b"Content-Type: multipart/form-data; boundary=b\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
MEGABYTE = 1024 * 1024
FILE = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
CASES: dict[str, bytes] = {
    "nothing": b"",
    "rubbish": bytes(range(256)) * 20,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    "half a line": b"GET /",
    "no version": b"GET /\r\n\r\n",
    "strange version": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "lower case method": b"get / HTTP/1.1\r\n" + HOST + b"\r\n",
    "invented method": b"BREWCOFFEE / HTTP/1.1\r\n" + HOST + b"\r\n",
    "connect": b"CONNECT localhost:1 HTTP/1.1\r\n" + HOST + b"\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute": b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute rubbish": b"GET http://[/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "no slash": b"GET nowhere HTTP/1.1\r\n" + HOST + b"\r\n",
    "two slashes": b"GET //evil.example/.. HTTP/1.1\r\n" + HOST + b"\r\n",
    "raw bytes in the path": b"GET /\xff\xfe\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
    "nul in the path": b"GET /products/%00/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "long line": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 1000 + b"\r\n",
    "folded header": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "nul in a header": b"GET / HTTP/1.1\r\n" + HOST + b"User-Agent: a\x00b\r\n\r\n",
    "bytes in a header": b"GET / HTTP/1.1\r\n" + HOST + b"X-Request-ID: \xff\x80\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\n" + HOST + b"X\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\n" + HOST + b": x\r\n\r\n",
    "bare newlines": b"GET / HTTP/1.1\nHost: localhost\n\n",
    "length is no number": POST + FORM + b"Content-Length: x\r\n\r\nq=1",
    "length is negative": POST + FORM + b"Content-Length: -1\r\n\r\nq=1",
    "length is huge": POST + FORM + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nq=1",
    "two lengths": POST + FORM + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nq=1",
    "length too great": POST + FORM + b"Content-Length: 5000\r\n\r\nq=1",
    "length too small": POST + FORM + b"Content-Length: 1\r\n\r\nq=1GET / HTTP/1.1\r\n\r\n",
    "file cut short": POST + MULTIPART + b"Content-Length: 5000\r\n\r\n" + FILE + b"a",
    "length and chunks": POST + FORM + CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n",
    "chunks": POST + FORM + CHUNKED + b"\r\n3\r\nq=1\r\n0\r\n\r\n",
    "chunk is no number": POST + FORM + CHUNKED + b"\r\nzz\r\nq=1\r\n0\r\n\r\n",
    "chunk is negative": POST + FORM + CHUNKED + b"\r\n-3\r\nq=1\r\n0\r\n\r\n",
    "chunk is huge": POST + FORM + CHUNKED + b"\r\nffffffffffffffff\r\nq=1",
    "chunks without an end": POST + FORM + CHUNKED + b"\r\n3\r\nq=1\r\n",
    "file in chunks, cut": POST + MULTIPART + CHUNKED + b"\r\n3\r\n--b\r\n",
    "unknown coding": POST + FORM + b"Transfer-Encoding: brew\r\n\r\nq=1",
    "chunked twice": POST + FORM + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "pipelined rubbish": b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n" + b"\xff" * 500,
    "pipelined": (b"GET /cart/ HTTP/1.1\r\n" + HOST + b"\r\n") * 20,
    "expect": POST + FORM + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    "upgrade": b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "10 MB": POST + FORM + b"Content-Length: %d\r\n\r\n" % (10 * MEGABYTE) + b"a" * 10 * MEGABYTE,
    "10 MB in chunks": POST
    + FORM
    + CHUNKED
    + b"\r\n"
    + (b"%x\r\n" % MEGABYTE + b"a" * MEGABYTE + b"\r\n") * 10
    + b"0\r\n\r\n",
    "10 MB file": POST
    + MULTIPART
    + b"Content-Length: %d\r\n\r\n" % (len(FILE) + 10 * MEGABYTE + 9)
    + FILE
    + b"a" * 10 * MEGABYTE
    + b"\r\n--b--\r\n",
}


def _send(port: int, data: bytes, *, abort: bool = False) -> bytes:
    """Send bytes and return the response until the server closes the connection."""
    response = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(data)
            if abort:  # close with a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return b""
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                response += part
        except OSError:
            pass  # the server may close the connection before it has read everything
    return response


def _series(shop: RunningShop) -> set[str]:
    text = requests.get(f"{shop.url}/metrics", timeout=PATIENCE).text
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[RunningShop]:
    shop = RunningShop(tmp_path, {})
    yield shop
    shop.close()


def test_malformed_http_is_refused_without_side_effects(
    shop: RunningShop,
) -> None:
    shop.start("web")
    tables = "[Product.objects.count(), Sale.objects.count(), StockMovement.objects.count()]"
    before = shop.query(tables)
    codes_of: dict[str, list[int]] = {}
    for data in CASES.values():  # create all legitimate series first
        _send(shop.port, data)
    series = _series(shop)
    assert any(one.startswith("retail_http_request_duration_seconds") for one in series)
    for name, data in CASES.items():
        response = _send(shop.port, data)
        codes_of[name] = [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", response)]
        assert b"Traceback" not in response, name
        _send(shop.port, data, abort=True)
        _send(shop.port, data[: len(data) // 2], abort=True)
    assert not [name for name, codes in codes_of.items() if any(code >= 500 for code in codes)]
    assert requests.get(f"{shop.url}/", timeout=PATIENCE).status_code == 200
    assert {name for name in _series(shop) - series if "status=" not in name} == set()
    assert shop.query(tables) == before
    assert shop.end("web") == 0
    lines = [*shop.log("logs/application.log"), *shop.log("web.stdout")]
    assert "event=http.request" in {line["message"] for line in lines}
    assert [line for line in lines if line["level"] in {"ERROR", "CRITICAL"}] == []
    assert "Traceback" not in (shop.folder / "web.stdout").read_text()


def _requests() -> Iterator[tuple[str, bytes]]:
    """Yield each odd value in its place, with the name of the place."""
    for name, value in [*odd.parsed(), *odd.headers()]:
        if name.startswith(("HTTP_", "CONTENT_")):
            header = name.removeprefix("HTTP_").replace("_", "-")
            yield name, f"{header}: {value}\r\n".encode("latin-1")
    for cookie in odd.cookies():
        yield "cookie", f"Cookie: {cookie}\r\n".encode("latin-1")


# What is asked of each program, by what it listens to.
ASKED = {
    "web": [("GET", path) for path in (*odd.READING, "/", "/readyz", "/admin/", "/nowhere")]
    + [
        ("POST", path)
        for path in ("/accounts/login/", "/metrics/alerts/", "/metrics", "/cart/add/")
    ],
    "worker": [("GET", path) for path in ("/metrics", "/healthz", "/nowhere")]
    + [(method, "/metrics") for method in ("HEAD", "POST", "BREW", "PUT")],
    "gateway": [("GET", path) for path in ("/", "/metrics", "/healthz", "/v1/charges")]
    + [("POST", path) for path in ("/v1/charges", "/faults-form")],
}


def test_odd_bytes_in_headers_are_no_fault_of_any_program(shop: RunningShop) -> None:
    shop.start("web", "worker")
    gateway = urlsplit(shop.gateway.url).port or 0
    ports = {"web": shop.port, "worker": shop.worker_port, "gateway": gateway}
    failed, answered = [], dict.fromkeys(ports, 0)
    for number, (name, header) in enumerate(_requests()):
        for program, port in ports.items():
            method, path = ASKED[program][number % len(ASKED[program])]
            start = f"{method} {path} HTTP/1.1\r\nConnection: close\r\n".encode()
            known = b"" if name == "HTTP_HOST" else HOST
            if program == "gateway" and name != "HTTP_AUTHORIZATION":
                known += b"Authorization: Bearer dev-gateway-key\r\n"
            answer = _send(port, start + known + header + b"\r\n")
            codes = [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]
            answered[program] += 200 in codes
            if any(code >= 500 for code in codes):
                failed.append((program, method, path, header[:200], codes))
    assert failed == []
    assert min(answered.values()) > 0
    for data in CASES.values():
        for program in ("worker", "gateway"):
            failures = re.findall(rb"HTTP/1\.[01] (5\d\d) ", _send(ports[program], data))
            assert failures == [], (program, data[:200])
    assert shop.end("web") == 0
    assert shop.end("worker") == 0
    lines = shop.log("logs/application.log")
    errors = {line["message"] for line in lines if line["level"] in {"ERROR", "CRITICAL"}}
    assert errors == {"event=alert.lost"}  # what is sent to the webhook is no notification
    for name in ("web.stdout", "worker.stdout", "stdout"):
        assert "Traceback" not in (shop.folder / name).read_text()

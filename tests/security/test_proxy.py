"""The proxy of docker-compose.yml: what it passes on, what it refuses, and what it logs."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import requests
from django.conf import settings

from config.arrivals import HEAD_BYTES
from config.server import ARRIVAL_SECONDS
from retail.web.headers import BARE_HEADERS
from tests.running.proxy import FOLDER, Proxy, nginx_program, running_proxy
from tests.running.support import KEYS, PATIENCE, ROOT, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.left_out import LeaveOut

END = "\r\nHost: localhost:18000\r\nConnection: close\r\n"
FORGED = (
    "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n"
    "X-Forwarded-Port: 1\r\nForwarded: for=203.0.113.9\r\nX-Request-Start: t=1000000000.000\r\n"
    "X-Request-ID: of-another\r\nX-Client-Request-ID: of-a-third\r\n"
    "X_Forwarded_For: 203.0.113.9\r\n"
)
REFUSED = {
    f"nonsense{END}\r\n": 400,
    f"GET /%zz HTTP/1.1{END}\r\n": 400,
    f"GET /../../etc HTTP/1.1{END}\r\n": 400,
    f"GET / HTTP/9.9{END}\r\n": 400,
    "GET / HTTP/1.1\r\nConnection: close\r\n\r\n": 400,
    f"POST / HTTP/1.1{END}Transfer-Encoding: foo\r\n\r\n": 400,
    f"GET / HTTP/1.1{END}X-Long: {'x' * 9000}\r\n\r\n": 400,
    f"GET /{'x' * 9000} HTTP/1.1{END}\r\n": 414,
    f"POST /checkout/ HTTP/1.1{END}Content-Length: 64000000\r\n\r\n": 413,
    f"TRACE / HTTP/1.1{END}\r\n": 405,
    f"GET /.proxy-error HTTP/1.1{END}\r\n": 404,
}


class Shop(ThreadingHTTPServer):
    """Answers each request with what has arrived of it, or not at all."""

    request_queue_size = 512
    daemon_threads = True

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Shop

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/hang-up/"):
            self.close_connection = True
            return
        if self.path == "/wait/":
            self.server.asked.set()
            self.server.go_on.wait(PATIENCE)
        request = [self.command, self.path, dict(self.headers.items()), len(body)]
        answer = json.dumps(request).encode()
        self.send_response(404 if self.path == "/missing/" else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("X-Request-ID", "of-the-shop")
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815 - http.server's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log nothing."""


@pytest.fixture(scope="module")
def nginx(left_out: LeaveOut) -> str:
    return nginx_program(left_out)


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.shutdown()
    shop.server_close()


@pytest.fixture
def proxy(nginx: str, shop: Shop, tmp_path: Path) -> Iterator[Proxy]:
    with running_proxy(nginx, tmp_path, f"127.0.0.1:{shop.server_port}") as proxy:
        yield proxy


def answer(port: int, request: str) -> tuple[int, dict[str, str], str]:
    """Send bytes and return status, headers and body."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(request.encode())
        received = b""
        while more := client.recv(65536):
            received += more
            head, end, body = received.partition(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            if end and length and len(body) >= int(length[1]):
                break  # it keeps a connection for a while whose request it has not read
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body.decode()


def arrived(port: int, request: str) -> tuple[str, str, dict[str, str], int]:
    """Send a request and return what the shop has received."""
    status, _, body = answer(port, request)
    assert status == 200, body
    method, path, headers, size = json.loads(body)
    return method, path, headers, size


def test_what_a_stranger_claims_is_replaced(proxy: Proxy) -> None:
    request = f"POST /checkout/?q=%2F HTTP/1.1{END}{FORGED}Content-Length: 3\r\n\r\nabc"
    method, path, headers, size = arrived(proxy.port, request)
    assert (method, path, size) == ("POST", "/checkout/?q=%2F", 3)
    assert re.fullmatch(r"[0-9a-f]{32}", headers.pop("X-Request-ID"))
    assert re.fullmatch(r"t=[0-9]{10}\.[0-9]{3}", headers["X-Request-Start"])
    assert headers.pop("X-Request-Start") != "t=1000000000.000"
    assert headers == {
        "Host": "localhost:18000",
        "Connection": "close",
        "Content-Length": "3",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "http",
        "X-Client-Request-ID": "of-another",
    }


def test_a_load_balancer_names_client_and_scheme(proxy: Proxy) -> None:
    forwarded = "X-Forwarded-For: 203.0.113.9, 2001:db8::7\r\nX-Forwarded-Proto: https\r\n"
    _, _, headers, _ = arrived(proxy.balancers_port, f"GET / HTTP/1.1{END}{forwarded}\r\n")
    assert headers["X-Forwarded-For"] == "2001:db8::7"  # the one that the balancer has appended
    assert headers["X-Forwarded-Proto"] == "https"
    _, _, headers, _ = arrived(proxy.balancers_port, f"GET / HTTP/1.1{END}\r\n")
    assert (headers["X-Forwarded-For"], headers["X-Forwarded-Proto"]) == ("127.0.0.1", "http")


def test_a_chunked_body_arrives_with_its_length(proxy: Proxy) -> None:
    request = f"POST / HTTP/1.1{END}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    _, _, headers, size = arrived(proxy.port, request)
    assert (headers["Content-Length"], size) == ("3", 3)


def test_the_shops_errors_are_passed_on(proxy: Proxy) -> None:
    status, headers, body = answer(proxy.port, f"GET /missing/ HTTP/1.1{END}\r\n")
    assert (status, headers["X-Request-ID"]) == (404, "of-the-shop")
    assert "/missing/" in body


LARGE = "Content-Length: 2000000\r\n"


@pytest.mark.parametrize("path", ["/feeds/acme/", "/feeds/a-b_9/?x", "/desk/feeds/acme/upload/"])
def test_partners_files_may_be_large(proxy: Proxy, path: str) -> None:
    body = "x" * 2_000_000
    _, _, headers, size = arrived(proxy.port, f"POST {path} HTTP/1.1{END}{FORGED}{LARGE}\r\n{body}")
    assert size == 2_000_000
    assert "X-Forwarded-Host" not in headers
    assert (headers["X-Forwarded-For"], headers["X-Forwarded-Proto"]) == ("127.0.0.1", "http")
    status, headers, text = answer(
        proxy.port, f"POST {path} HTTP/1.1{END}Content-Length: 33554433\r\n\r\n"
    )
    assert_own(status, headers, text, 413)


@pytest.mark.parametrize(
    "path",
    [
        *("/feeds/", "/feeds/acme", "/feeds/acme/FD-X/", "/Feeds/acme/", "/x/feeds/acme/"),
        *("/desk/", "/desk/feeds", "/desk/feedsx/", "/feeds/acme/../../cart/", "/feeds/a%2Fb/"),
        "/cart/?/feeds/acme/",
    ],
)
def test_nothing_else_may_be_large(proxy: Proxy, path: str) -> None:
    status, headers, text = answer(proxy.port, f"POST {path} HTTP/1.1{END}{LARGE}\r\n")
    assert_own(status, headers, text, 413)


def assert_own(status: int, headers: dict[str, str], body: str, expected: int) -> None:
    """Check that an answer is the proxy's own, with the headers of all answers."""
    assert status == expected
    assert BARE_HEADERS.items() <= headers.items()
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Server"] == "nginx"  # without its version
    assert body.endswith(f"\nRequest: {headers['X-Request-ID']}\n")
    assert "<" not in body


@pytest.mark.parametrize("request_", REFUSED, ids=lambda text: text[:20])
def test_what_it_refuses_by_itself(proxy: Proxy, request_: str) -> None:
    status, headers, body = answer(proxy.port, request_)
    assert_own(status, headers, body, REFUSED[request_])
    [line] = proxy.lines(1)
    assert line["request_id"] == headers["X-Request-ID"]
    assert (line["logger"], line["level"]) == ("proxy.errors", "INFO")


def test_a_shop_that_is_down_or_hangs_up(nginx: str, proxy: Proxy, tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    request = f"POST /checkout/?password=x HTTP/1.1{END}Content-Length: 1\r\n\r\nx"
    with running_proxy(nginx, tmp_path / "down", nobody) as alone:
        status, headers, body = answer(alone.port, request)
        assert_own(status, headers, body, 502)
        assert headers["Retry-After"] == "5"
        [line] = alone.lines(1)
    status, headers, body = answer(proxy.port, request.replace("/checkout/", "/hang-up/"))
    assert_own(status, headers, body, 502)
    del line["timestamp"], line["request_id"], line["extra"]["duration_ms"]
    assert line == {
        "level": "WARNING",
        "logger": "proxy.errors",
        "message": "event=proxy.request",
        "extra": {
            "method": "POST",
            "path": "/checkout",
            "status": 502,
            "upstream_status": "502",
            "client": "127.0.0.1",
        },
    }


def test_its_log_has_the_shops_format_and_no_secrets(proxy: Proxy, tmp_path: Path) -> None:
    paths = {
        "/accounts/password-reset/canary1/canary-2/?canary=canary3": "/accounts/password-reset",
        "/accounts/%70assword-reset/canary4/": "/accounts",
        "/orders/VT-CANARY5/": "/orders",
        "/products/?q=canary6": "/products",
        "/canary7@example.com": "/",
        "/?canary8": "/",
        '/"canary9\\': "/",
        "/hang-up/canary10/?canary11": "/hang-up",
        "/hang-up/?canary12": "/hang-up",
        "http://canary13:canary14@localhost/x": "/",  # refused
    }
    lines = []
    for number, path in enumerate(paths, 1):
        secrets = "Cookie: canary15\r\nUser-Agent: canary16\r\nReferer: canary17\r\n"
        answer(proxy.port, f"GET {path} HTTP/1.1{END}{secrets}\r\n")
        lines = proxy.lines(number)  # written after the answer, by one of several processes
    assert [line["extra"]["path"] for line in lines] == [*paths.values()]
    assert all(frozenset(line) == KEYS for line in lines)
    assert {line["request_id"] for line in lines if line["logger"] == "proxy.requests"} == {
        "of-the-shop"
    }
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"canary" not in file.read_bytes().lower(), file
    assert (tmp_path / "stdout").read_text() == proxy.log.read_text()


def status_for(proxy: Proxy, client: str, path: str = "/") -> int:
    """Return the status of a request of a client behind a load balancer."""
    forwarded = f"X-Forwarded-For: {client}\r\n"
    return answer(proxy.balancers_port, f"GET {path} HTTP/1.1{END}{forwarded}\r\n")[0]


def test_the_requests_of_each_client_are_limited(nginx: str, shop: Shop, tmp_path: Path) -> None:
    few = {"rate=300r/s": "rate=1r/m", "burst=1500": "burst=2"}
    with running_proxy(nginx, tmp_path, f"127.0.0.1:{shop.server_port}", changes=few) as proxy:
        assert [status_for(proxy, "203.0.113.1") for _ in range(4)] == [200, 200, 200, 429]
        assert status_for(proxy, "203.0.113.2") == 200
        network = [f"2001:db8:1:2:{host}::1" for host in range(1, 5)]
        assert [status_for(proxy, client) for client in network] == [200, 200, 200, 429]
        assert status_for(proxy, "2001:db8:1:3::1") == 200
        assert status_for(proxy, "2001:db8::1") == 200
        assert status_for(proxy, "::1") == 200
        assert answer(proxy.port, f"GET / HTTP/1.1{END}\r\n")[0] == 200


def test_the_simultaneous_requests_of_each_client_are_limited(
    nginx: str, shop: Shop, tmp_path: Path
) -> None:
    few = {"connections 1000": "connections 1"}
    with running_proxy(nginx, tmp_path, f"127.0.0.1:{shop.server_port}", changes=few) as proxy:
        waiting = socket.create_connection(("127.0.0.1", proxy.balancers_port), timeout=PATIENCE)
        forwarded = "X-Forwarded-For: 203.0.113.1\r\n"
        waiting.sendall(f"GET /wait/ HTTP/1.1{END}{forwarded}\r\n".encode())
        assert shop.asked.wait(PATIENCE)
        assert status_for(proxy, "203.0.113.1") == 429
        assert status_for(proxy, "203.0.113.2") == 200
        shop.go_on.set()
        assert waiting.recv(12) == b"HTTP/1.1 200"
        waiting.close()


def test_its_log_is_rotated(proxy: Proxy) -> None:
    """As start.sh does: nothing is lost, and the new file is used."""
    answer(proxy.port, f"GET /one/ HTTP/1.1{END}\r\n")
    proxy.lines(1)
    old = proxy.log.rename(proxy.log.with_name("proxy.log.1"))
    proxy.process.send_signal(signal.SIGUSR1)
    wait_until(proxy.log.exists, "a new log")
    answer(proxy.port, f"GET /two/ HTTP/1.1{END}\r\n")
    [line] = wait_until(lambda: proxy.log.read_text() and proxy.lines(1), "a line")
    assert (line["extra"]["path"], len(old.read_text().splitlines())) == ("/two", 1)


def test_the_proxy_speaks_tls(nginx: str, shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    address = f"127.0.0.1:{shop.server_port}"
    with running_proxy(nginx, tmp_path, address, options=("tls.conf",)) as proxy:
        url = f"https://localhost:{proxy.tls_port}/"
        headers = {"X-Forwarded-Proto": "http"}
        page = requests.get(
            url, headers=headers, verify=str(folder / "fullchain.pem"), timeout=PATIENCE
        )
        assert page.json()[2]["X-Forwarded-Proto"] == "https"
        assert page.json()[2]["Host"] == f"localhost:{proxy.tls_port}"
        status, headers, body = answer(proxy.tls_port, f"GET / HTTP/1.1{END}\r\n")
        assert_own(status, headers, body, 400)
        refused = requests.post(
            url, data=b"x" * 2_000_000, verify=str(folder / "fullchain.pem"), timeout=PATIENCE
        )
        value = "max-age=31536000; includeSubDomains"
        assert (refused.status_code, refused.headers["Strict-Transport-Security"]) == (413, value)


NGINX = (FOLDER / "nginx.conf").read_text("utf-8")


def value(directive: str) -> str:
    """Return the value of a directive that nginx.conf has once."""
    [found] = re.findall(rf"^\s*{directive} ([^;]+);", NGINX, re.MULTILINE)
    return str(found)


def test_its_limits_are_the_shops() -> None:
    units = {"k": 1024, "m": 1024 * 1024}

    def size(text: str) -> int:
        return int(text[:-1]) * units[text[-1]]

    assert size(value("client_max_body_size")) == settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    [upload] = re.findall(r"client_max_body_size (\w+);", (FOLDER / "shop.conf").read_text("utf-8"))
    assert size(upload) == settings.UPLOAD_MOST_BYTES
    count, each = value("large_client_header_buffers").split()
    assert int(count) * size(each) == HEAD_BYTES
    for directive in ("client_header_timeout", "client_body_timeout"):
        assert float(value(directive).removesuffix("s")) == ARRIVAL_SECONDS
    gunicorn = (ROOT / "app/config/gunicorn.conf.py").read_text("utf-8")
    [timeout] = re.findall(r"^timeout = (\d+)$", gunicorn, re.MULTILINE)
    assert float(value("proxy_read_timeout").removesuffix("s")) > float(timeout)

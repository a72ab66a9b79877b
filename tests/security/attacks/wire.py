"""To stop the shop, to be let into its machine, or to use it against others."""

from __future__ import annotations

import secrets
import threading
import time

import requests

from tests.security.target import LAMP, PASSWORD, TIMEOUT, Target, refused

SLOW = (
    b"",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    (
        b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 900000\r\n"
        b"\r\nusername="
    ),
    (
        b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n100\r\nusername="
    ),
)
CONNECTIONS = 200
FILES = (
    *("/.env", "/.git/config", "/manage.py", "/var/shop.sqlite3", "/backups/", "/logs/app.log"),
    *(
        "/static/../config/settings.py",
        "/static/%2e%2e/config/settings.py",
        "/static/..%2fmanage.py",
    ),
    *("/static//etc/passwd", "/static/%00", "/media/", "/nginx.conf", "/server-status"),
)
HEADERS = (
    *("Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"),
    *("Cross-Origin-Opener-Policy", "Cache-Control", "X-Request-ID"),
)
SMUGGLED = (
    (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    ),
    (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n"
        b"Connection: close\r\n\r\n0\r\n\r\n"
    ),
    b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n"
        b"Connection: close\r\n\r\nxx"
    ),
)


def slow_connections(target: Target) -> None:
    """Hold 200 connections while a customer buys."""
    held = []
    try:
        for number in range(CONNECTIONS):
            client = target.connect()
            client.sendall(SLOW[number % len(SLOW)])
            held.append(client)
        buyer = target.customer()
        buyer.put_in_cart(LAMP)
        if target.card:
            page = buyer.order(target.card)
            refused(f"the buyer got {page.status_code}", "Thank you" in page.text)
    except (OSError, LookupError) as error:
        refused(f"the buyer could not buy: {error}", statement=False)
    finally:
        for client in held:
            client.close()


def hashing_in_numbers(target: Target) -> None:
    """Keep the shop busy with log-ins; it must answer its health check meanwhile."""

    def log_in() -> None:
        try:
            target.log_in(target.visitor(), f"nobody-{secrets.token_hex(4)}", PASSWORD)
        except (requests.RequestException, LookupError):
            return  # a refusal without a form

    threads = [threading.Thread(target=log_in) for _ in range(16)]
    for thread in threads:
        thread.start()
    statuses = {target.send("GET", "/healthz").status_code for _ in range(5)}
    for thread in threads:
        thread.join()
    refused(f"the health check was not answered: {statuses}", statuses == {200})


def uploads(target: Target) -> None:
    """Send files and large bodies where none are expected."""
    head = "POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 64000000\r\n\r\n"
    received = target.raw(head.encode())
    refused(f"a body of 64 MB: {received[:40]!r}", received.startswith(b"HTTP/1.1 413 "))
    for path in ("/accounts/login/", "/cart/add/", "/admin/login/", "/metrics/alerts/"):
        answer = target.send("POST", path, files={"file": ("a.php", b"x" * 200_000)})
        refused(f"a file for {path}: {answer.status_code}", 400 <= answer.status_code < 500)


def files(target: Target) -> None:
    """Read files that are not for visitors."""
    for path in FILES:
        sent = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        received = target.raw(sent.encode())
        status = received[9:12]
        refused(f"{path}: {status!r}", status in {b"400", b"401", b"403", b"404"})


def smuggling(target: Target) -> None:
    """Hide a request in another."""
    for sent in SMUGGLED:
        received = target.raw(sent)
        refused(f"{sent!r} got {received[:40]!r}", received[9:10] in {b"4", b"5"})
        refused(f"{sent!r} held a second request", received.count(b"HTTP/1.1 ") == 1)


def foreign_hosts(target: Target) -> None:
    """Have the shop take another site's name for its own."""
    for host in ("evil.example", "localhost.evil.example", "localhost:80@evil.example"):
        answer = target.send("GET", "/accounts/password-reset/", headers={"Host": host})
        refused(f"Host: {host} got {answer.status_code}", answer.status_code == 400)
    answer = target.send("GET", "/", headers={"X-Forwarded-Host": "evil.example"})
    refused("X-Forwarded-Host is believed", "evil.example" not in answer.text)


def forged_request_id(target: Target) -> None:
    """Join another customer's trace."""
    for chosen in ("victims-request", "a" * 20, secrets.token_hex(16)):
        given = target.send("GET", "/", headers={"X-Request-ID": chosen}).headers["X-Request-ID"]
        refused(f"the request id {chosen} was kept", given not in {chosen, ""})


def missing_headers(target: Target) -> None:
    """Use pages in frames and scripts of other sites, also those of errors."""
    paths = ("/", "/accounts/login/", "/nowhere", "/checkout/", "/metrics", "/admin/login/")
    for path in paths:
        answer = target.send("GET", path)
        missing = [name for name in HEADERS if name not in answer.headers]
        refused(f"{path} lacks {missing}", not missing)
        told = answer.headers.get("Server", "") + answer.headers.get("X-Powered-By", "")
        refused(f"{path} tells its version: {told}", not any(map(str.isdigit, told)))
    for method in ("TRACE", "CONNECT", "DEBUG"):
        answer = target.send(method, "/")
        refused(f"{method}: {answer.status_code}", 400 <= answer.status_code < 502)


def measurements(target: Target) -> None:
    """Read the metrics and send alerts without the token."""
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer metrics"}):
        answer = target.send("GET", "/metrics", headers=headers)
        refused(f"/metrics: {answer.status_code}", answer.status_code in {401, 403, 404})
        answer = target.send("POST", "/metrics/alerts/", json={"alerts": []}, headers=headers)
        refused(f"an alert was taken: {answer.status_code}", answer.status_code in {401, 403})


def scripts_in_names(target: Target) -> None:
    """Leave scripts where others read."""
    shopper = target.customer()
    script = "<script>alert('mallory')</script>"
    page = shopper.submit(
        shopper.get("/accounts/profile/"), "/accounts/profile/", full_name=script, city=script
    )
    texts = [page.text, shopper.get("/accounts/profile/").text]
    texts += [target.send("GET", "/products/", params={"q": script}).text]
    texts += [target.send("GET", f"/{script}").text]
    refused("a script is on a page", not any(script in text for text in texts))


def secrets_in_logs(target: Target) -> None:
    """Have secrets written where others may read them."""
    if target.logs is None:
        return
    canary = secrets.token_hex(20)
    link = f"/accounts/password-reset/MQ/{canary}"
    hosts = ("localhost", "evil.example")
    for path in (f"{link}/", link, f"/?token={canary}", f"/products/?q=a&password={canary}"):
        for host in hosts:
            target.send("GET", path, headers={"Host": host, "Cookie": f"sessionid={canary}"})
    shopper = target.visitor()
    page = shopper.get("/accounts/login/")
    shopper.submit(page, "/accounts/login/", username="nobody", password=canary)
    marker = f"/nowhere-{secrets.token_hex(8)}"
    target.send("GET", marker)
    until = time.monotonic() + TIMEOUT  # lines are written a moment later
    while marker not in (text := target.logs()):
        refused("(the log lacks the last request)", time.monotonic() < until)
        time.sleep(0.05)
    refused("a secret is in the log", canary not in text)


def searches_in_numbers(target: Target) -> None:
    """Keep the database busy with searches."""
    browser = target.browser()
    for _ in range(260):
        answer = browser.get(f"{target.url}/products/?q=lamp", timeout=TIMEOUT)
        if answer.status_code == 429:
            return
    refused("260 searches in a row", statement=False)


ATTACKS = (
    *(slow_connections, uploads, files, smuggling, foreign_hosts, forged_request_id),
    *(missing_headers, measurements, scripts_in_names, secrets_in_logs),
)
FLOODS = (hashing_in_numbers, searches_in_numbers)

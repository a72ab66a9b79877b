"""A PostgreSQL that hangs, locks or is gone: what web and worker still answer, and what counts."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import psycopg2
import pytest
import requests

from tests.running.support import PATIENCE, RunningShop, hanging, wait_until
from tools.with_postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from drills.shoppers import Shopper
    from tools.with_postgres import Postgres

LAMP = "/products/lumen-desk-lamp/"
GAUGE = "retail_jobs_waiting"
IN_PROGRESS = "retail_http_requests_in_progress"
FAILED = 'retail_http_errors_total{view="orders:checkout"}'


def checkouts(status: str, le: str = "") -> str:
    """Return the sample that counts the checkouts with a class of status, or those in time."""
    bound = f'le="{le}",' if le else ""
    kind = "bucket" if le else "count"
    return (
        f"retail_http_request_duration_seconds_{kind}"
        f'{{{bound}method="POST",status="{status}",view="orders:checkout"}}'
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Return a server that only these tests use."""
    with postgres(fsync=False) as started:
        yield started


@pytest.fixture
def shop(server: Postgres, tmp_path: Path) -> Iterator[RunningShop]:
    with contextlib.closing(psycopg2.connect(server.url)) as connection:
        connection.autocommit = True
        connection.cursor().execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    shop = RunningShop(tmp_path, {"DATABASE_URL": server.url, "WEB_THREADS": "2"})
    yield shop
    shop.close()


class Buyer(NamedTuple):
    """A customer, and the checkout's form as it was shown to them."""

    shopper: Shopper
    form: requests.Response


def get(port: int, path: str) -> requests.Response:
    """Return an answer, which must come: nothing is asserted about speed."""
    return requests.get(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE)


def send_checkout(buyer: Buyer) -> requests.Response:
    """Submit the checkout's form, which was opened before the fault."""
    fields = {"delivery_name": "Sam", "delivery_address": "1 Street", "payment_token": "tok_good"}
    return buyer.shopper.submit(buyer.form, "/checkout/", **fields)


def buyer_at_the_checkout(shop: RunningShop) -> Buyer:
    shopper = shop.shopper()
    shopper.put_in_cart(LAMP)
    return Buyer(shopper, shopper.get("/checkout/"))


def test_with_every_thread_held_the_probes_answer_and_say_what_is_unknown(
    shop: RunningShop, server: Postgres
) -> None:
    shop.start("web", "worker", DATABASE_STATEMENT_TIMEOUT="3600")
    wait_until(lambda: get(shop.port, "/readyz").json()["status"] == "ready", "the worker")
    ports = {"web": shop.port, "worker": shop.worker_port}
    for port in ports.values():
        assert re.search(rf"^{GAUGE} ", get(port, "/metrics").text, re.MULTILINE)
    visitors = [threading.Thread(target=get, args=(shop.port, "/products/")) for _ in range(6)]
    with hanging(server):
        for visitor in visitors:
            visitor.start()
        wait_until(lambda: shop.metric(IN_PROGRESS) == 2, "both threads to be held")
        for name, port in ports.items():
            healthy = get(port, "/healthz")
            assert (healthy.status_code, healthy.json()) == (200, {"status": "ok"}), name
            assert healthy.headers["X-Request-ID"], name
            scraped = get(port, "/metrics")
            assert scraped.status_code == 200, name
            assert scraped.headers["X-Request-ID"], name
            assert "\nretail_build_info" in scraped.text, name
        ready = get(shop.port, "/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert ready.json()["checks"]["database"] != "ok"
        assert ready.headers["X-Request-ID"]
        assert shop.metric(IN_PROGRESS) == 2
        # What was read before the server hung may still be shown for some seconds, and no longer.
        for port in ports.values():
            wait_until(
                lambda p=port: (
                    not re.search(  # type: ignore[misc]
                        rf"^{GAUGE} ", get(p, "/metrics").text, re.MULTILINE
                    )
                ),
                "the unknown to be left out",
            )
        late = 'retail_telemetry_errors_total{sink="collector"}'
        assert all(shop.metric(late, port) > 0 for port in ports.values())
    for visitor in visitors:
        visitor.join()
    wait_until(lambda: get(shop.port, "/readyz").json()["status"] == "ready", "the shop to recover")
    wait_until(lambda: shop.metric(IN_PROGRESS) == 0, "the last request to end")


def test_a_checkout_ends_by_itself_and_counts_as_failed(
    shop: RunningShop, server: Postgres
) -> None:
    shop.start("web", DATABASE_STATEMENT_TIMEOUT="1", DATABASE_CONNECT_TIMEOUT="2")
    buyer = buyer_at_the_checkout(shop)
    failed = checkouts("5xx")
    assert shop.metric(failed) == shop.metric(FAILED) == 0  # they exist before the first one
    with hanging(server):
        for number in (1, 2, 3):  # on a kept connection, then on a new one
            answer = send_checkout(buyer)
            assert answer.status_code == 503
            assert answer.headers["X-Request-ID"]
            assert shop.metric(failed) == shop.metric(FAILED) == number
    assert "Thank you" in send_checkout(buyer).text
    assert shop.metric(checkouts("3xx")) == 1


def test_a_checkout_without_a_database_counts_as_failed(
    shop: RunningShop, server: Postgres
) -> None:
    shop.start("web")
    buyer = buyer_at_the_checkout(shop)
    server.stop("immediate")
    try:
        assert [send_checkout(buyer).status_code for _ in range(3)] == [503] * 3
    finally:
        server.start()
    assert shop.metric(checkouts("5xx")) == 3
    assert shop.metric(FAILED) == 3


@contextlib.contextmanager
def locked(server: Postgres, table: str) -> Iterator[None]:
    with contextlib.closing(psycopg2.connect(server.url)) as connection:
        connection.cursor().execute(f"LOCK TABLE {table}")
        yield


def test_the_wait_for_a_lock_is_part_of_a_checkout(shop: RunningShop, server: Postgres) -> None:
    shop.start("web", DATABASE_LOCK_TIMEOUT="3600", DATABASE_STATEMENT_TIMEOUT="3600")
    buyer = buyer_at_the_checkout(shop)
    answers = []
    sending = threading.Thread(target=lambda: answers.append(send_checkout(buyer)))
    with locked(server, "cart_cartitem"):
        sending.start()
        wait_until(lambda: shop.metric(IN_PROGRESS) == 1, "the checkout to wait")
        time.sleep(1.1)  # longer than the objective allows
    sending.join()
    assert "Thank you" in answers[0].text
    assert shop.metric(checkouts("3xx")) == 1
    assert shop.metric(checkouts("3xx", le="1.0")) == 0
    by_outcome = 'retail_checkout_duration_seconds_bucket{kind="cart",le="1.0",outcome="confirmed"}'
    assert shop.metric(by_outcome) == 0


def test_a_lock_that_is_not_released_ends_the_checkout(shop: RunningShop, server: Postgres) -> None:
    shop.start("web", DATABASE_LOCK_TIMEOUT="0.5")
    buyer = buyer_at_the_checkout(shop)
    with locked(server, "cart_cartitem"):
        assert send_checkout(buyer).status_code == 503
    assert shop.metric(FAILED) == 1
    assert "Thank you" in send_checkout(buyer).text


SHOWN = """
from django.db import connection
with connection.cursor() as cursor:
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        cursor.execute(f"SHOW {name}")
        print(cursor.fetchone()[0])
print(connection.connection.info.dsn_parameters["tcp_user_timeout"])
"""


def test_every_connection_has_limits(shop: RunningShop) -> None:
    """Those of a command, the longest. The tests above wait for those of web."""
    shown = shop.manage("shell", "--no-imports", "-c", SHOWN)
    assert shown.split() == ["1h", "30s", "1min", "15000"]

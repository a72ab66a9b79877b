"""End-to-end test of the containers: `make stack-test`. Needs Docker with compose (15 minutes).

    python tests/stack/stack_test.py [--keep] [--write-series]

Starts its own compose project with separate ports and volumes, and removes it afterwards (not with
--keep). Prints each check and exits with status 1 at the first failure. Missing images are built;
run `docker compose build` after a change. --write-series updates the list of third-party series
that the contract test uses.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from http import HTTPStatus
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "app")]

import requests

from drills.shoppers import Shopper, form_of
from tests.security.test_slow_clients import SLOW
from tests.stack import least, monitoring
from tests.stack.stack import (
    ENV_FILE,
    LAMP,
    PORTS,
    SETTINGS,
    WEB,
    check,
    compose,
    customer,
    everything_is_settled_and_consistent,
    manage,
    order,
    ready,
    set_faults,
    sql,
    wait_for,
)

EXPECTED = {200, 409, 429, 503}
SLOW_CLIENTS = 200
BOUGHT_WITHIN = 2  # seconds


def start() -> None:
    print("docker compose up -d")
    began = time.monotonic()
    compose("up", "-d")
    wait_for("the shop is ready", ready)
    print(f"  ready after {time.monotonic() - began:.0f} s")
    states = [json.loads(line) for line in compose("ps", "-a", "--format", "json").splitlines()]
    migrations = [state for state in states if state["Service"] == "migrate"]
    check("migrations ran once", [state["ExitCode"] for state in migrations] == [0])
    monitoring.is_healthy()
    check("no process runs as root", "uid=10001" in compose("exec", "-T", "web", "id"))


def commands() -> None:
    print("the guide's commands")
    check("migrate", "No migrations to apply" in manage("migrate"))
    check("create_admin", "Admin admin created" in manage("create_admin"))
    check("populate_products", "10 sample products" in manage("populate_products"))
    count = "from products.models import Product; print(Product.objects.count())"
    check("shell", manage("shell", "--no-imports", "-c", count).strip() == "10")
    dbshell = ("exec", "-T", "web", "python", "manage.py", "dbshell")
    output = compose(*dbshell, text="SELECT count(*) FROM products_product;")
    check("dbshell", "10" in output)
    # Some versions of compose start a line with an escape sequence.
    lines = [
        line.lstrip("\x1b[2K") for line in compose("logs", "web", "--no-log-prefix").split("\n")
    ]
    check("logs web: every line is JSON", [json.loads(line) for line in lines if line])


def order_survives_down_and_up() -> None:
    print("down and up")
    shopper = customer()
    shopper.put_in_cart(LAMP)
    page = shopper.order()
    check("an order is confirmed", "Thank you" in page.text)
    compose("down")
    compose("up", "-d")
    wait_for("the shop is ready again", ready)
    again = shopper.get(page.url.removeprefix(WEB))
    check("the order still exists, and its customer is still logged in", "Thank you" in again.text)


def killed_during_an_order() -> None:
    print("kill -s KILL web worker, during an order")
    shopper = customer()
    shopper.put_in_cart(LAMP)
    page = shopper.get("/checkout/")
    fields = {"delivery_name": "Sam", "delivery_address": "1 Street", "payment_token": "tok_good"}
    set_faults(latency_ms=4000)

    def send() -> None:
        with contextlib.suppress(requests.RequestException):
            shopper.submit(page, "/checkout/", **fields)

    sending = threading.Thread(target=send)
    sending.start()
    pending = "SELECT count(*) FROM orders_payment WHERE status = 'PENDING'"
    wait_for("the order is reserved", lambda: sql(pending) == "1")
    compose("kill", "-s", "KILL", "web", "worker")
    sending.join()
    check("the payment is still pending", sql(pending) == "1")
    set_faults()
    compose("up", "-d")
    wait_for("the shop is ready again", ready)
    everything_is_settled_and_consistent()


def slow_clients() -> None:
    print(f"{SLOW_CLIENTS} slow connections of each kind")
    for kind, sent in SLOW.items():
        address = ("127.0.0.1", PORTS["WEB_PORT"])
        slow = [socket.create_connection(address) for _ in range(SLOW_CLIENTS)]
        for client in slow:
            client.sendall(sent)
        shopper = customer()
        began = time.monotonic()
        shopper.put_in_cart(LAMP)
        page = shopper.order()
        took = time.monotonic() - began
        check(f"{kind}: bought in {took:.1f} s", "Thank you" in page.text and took < BOUGHT_WITHIN)
        for client in slow:
            client.close()


def web_at_a_new_address() -> None:
    print("web stops, and comes back")
    compose("rm", "--stop", "--force", "web")
    page = requests.get(WEB, timeout=30)
    # 504 while it still knows the old address, then 502.
    answers = {HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}
    check(f"the proxy answers instead: {page.status_code}", page.status_code in answers)
    # Another container takes the old address.
    compose("run", "--detach", "--rm", "--no-deps", "web", "sleep", "60")
    compose("up", "-d", "web")
    wait_for("the proxy finds it", ready)
    check("an order is confirmed", "Thank you" in order(customer()).text)


def restart_of_the_database_under_load() -> None:
    print("restart db, under load")
    statuses: Counter[int] = Counter()
    unexpected: list[str] = []
    stop = threading.Event()

    def inspect(page: requests.Response) -> requests.Response:
        statuses[page.status_code] += 1
        if page.status_code not in EXPECTED or "Traceback" in page.text:
            unexpected.append(f"{page.url}: {page.status_code} {page.text[:300]}")
        return page

    def shop(shopper: Shopper) -> None:
        while not stop.is_set():
            with contextlib.suppress(LookupError):  # the page "in a few seconds" has no form
                product = inspect(shopper.get(LAMP))
                form_of(product, "/cart/add/")
                inspect(shopper.submit(product, "/cart/add/", quantity="1"))
                checkout = inspect(shopper.get("/checkout/"))
                values = {"delivery_name": "Sam", "delivery_address": "1 St"}
                inspect(shopper.submit(checkout, "/checkout/", payment_token="tok_good", **values))
            time.sleep(0.1)

    threads = [threading.Thread(target=shop, args=[customer()]) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    compose("restart", "db")
    time.sleep(6)
    stop.set()
    for thread in threads:
        thread.join()
    print(f"  responses by status: {dict(sorted(statuses.items()))}")
    check("the database was away during requests", statuses[503])
    check(f"no traceback and no unexpected status {unexpected[:3]}", not unexpected)
    wait_for("the shop is ready again", ready)
    everything_is_settled_and_consistent()


def clean_stop() -> None:
    print("stop")
    shopper = customer()
    shopper.put_in_cart(LAMP)
    shopper.order()
    rows = int(sql("SELECT count(*) FROM retail_metric"))
    compose("stop", "web", "worker")
    states = [json.loads(line) for line in compose("ps", "-a", "--format", "json").splitlines()]
    codes = {state["Service"]: state["ExitCode"] for state in states}
    check("web and worker exit with 0", (codes["web"], codes["worker"]) == (0, 0))
    check("rows in memory were written", int(sql("SELECT count(*) FROM retail_metric")) > rows)


def main() -> None:
    if subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    ).returncode:
        sys.exit("make stack-test needs a running Docker engine with the compose plugin.")
    lines = [f"{name}={value}\n" for name, value in {**PORTS, **SETTINGS}.items()]
    ENV_FILE.write_text("".join(lines), encoding="utf-8")
    compose("down", "--volumes", "--remove-orphans")
    try:
        start()
        least.everything()
        commands()
        order_survives_down_and_up()
        killed_during_an_order()
        slow_clients()
        web_at_a_new_address()
        restart_of_the_database_under_load()
        monitoring.everything()
        clean_stop()
    finally:
        if "--keep" not in sys.argv:
            compose("down", "--volumes")
    print("All checks passed.")


if __name__ == "__main__":
    main()

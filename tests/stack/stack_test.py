"""The containers, for real: `make stack-test`. Needs Docker with compose; takes about ten minutes.

    python tests/stack/stack_test.py [--keep] [--write-series]

Starts a project of its own beside any that runs (other ports, other volumes) and removes it again.
Prints what it saw; exits with 1 at the first thing that is not so. The images are built if they are
not there; `docker compose build` makes new ones. --write-series writes the list of other programs'
series that the contract test reads.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "app")]

import requests

from drills.shoppers import form_of
from tests.stack import monitoring
from tests.stack.stack import (
    ENV_FILE,
    LAMP,
    PORTS,
    SETTINGS,
    WEB,
    check,
    compose,
    customer,
    everything_is_settled_and_balanced,
    knobs,
    manage,
    ready,
    sql,
    wait_for,
)

ANSWERS = {200, 409, 429, 503}


def start() -> None:
    print("docker compose up -d")
    began = time.monotonic()
    compose("up", "-d")
    wait_for("the shop is ready", ready)
    print(f"  ready after {time.monotonic() - began:.0f} s")
    states = [json.loads(line) for line in compose("ps", "-a", "--format", "json").splitlines()]
    migrations = [one for one in states if one["Service"] == "migrate"]
    check("migrations ran once", [one["ExitCode"] for one in migrations] == [0])
    monitoring.is_healthy()
    check("nobody is root", "uid=10001" in compose("exec", "-T", "web", "id"))


def commands() -> None:
    print("the guide's commands")
    check("migrate", "No migrations to apply" in manage("migrate"))
    check("create_admin", "Admin admin made" in manage("create_admin"))
    check("populate_products", "10 sample products" in manage("populate_products"))
    count = "from products.models import Product; print(Product.objects.count())"
    check("shell", manage("shell", "--no-imports", "-c", count).strip() == "10")
    dbshell = ("exec", "-T", "web", "python", "manage.py", "dbshell")
    answer = compose(*dbshell, text="SELECT count(*) FROM products_product;")
    check("dbshell", "10" in answer)
    # Some versions of compose begin a line with an escape sequence of their own.
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
    check("the order is still there, and its customer logged in", "Thank you" in again.text)


def killed_in_mid_order() -> None:
    print("kill -s KILL web worker, in the middle of an order")
    shopper = customer()
    shopper.put_in_cart(LAMP)
    page = shopper.get("/checkout/")
    fields = {"delivery_name": "Sam", "delivery_address": "1 Street", "payment_token": "tok_good"}
    knobs(latency_ms=4000)

    def send() -> None:
        with contextlib.suppress(requests.RequestException):
            shopper.submit(page, "/checkout/", **fields)

    sending = threading.Thread(target=send)
    sending.start()
    pending = "SELECT count(*) FROM orders_payment WHERE status = 'PENDING'"
    wait_for("the order is reserved", lambda: sql(pending) == "1")
    compose("kill", "-s", "KILL", "web", "worker")
    sending.join()
    check("it is still pending", sql(pending) == "1")
    knobs()
    compose("up", "-d")
    wait_for("the shop is ready again", ready)
    everything_is_settled_and_balanced()


def restart_of_the_database_under_load() -> None:
    print("restart db, under load")
    seen: Counter[int] = Counter()
    bad: list[str] = []
    stop = threading.Event()

    def look(page: requests.Response) -> requests.Response:
        seen[page.status_code] += 1
        if page.status_code not in ANSWERS or "Traceback" in page.text:
            bad.append(f"{page.url}: {page.status_code} {page.text[:300]}")
        return page

    def shop() -> None:
        shopper = customer()
        while not stop.is_set():
            with contextlib.suppress(
                LookupError
            ):  # a page that says "in a few seconds" has no form
                product = look(shopper.get(LAMP))
                form_of(product, "/cart/add/")
                look(shopper.submit(product, "/cart/add/", quantity="1"))
                checkout = look(shopper.get("/checkout/"))
                values = {"delivery_name": "Sam", "delivery_address": "1 St"}
                look(shopper.submit(checkout, "/checkout/", payment_token="tok_good", **values))
            time.sleep(0.1)

    threads = [threading.Thread(target=shop) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    compose("restart", "db")
    time.sleep(6)
    stop.set()
    for thread in threads:
        thread.join()
    print(f"  answers by status: {dict(sorted(seen.items()))}")
    check(f"nobody saw a traceback or a bare error {bad[:3]}", not bad)
    wait_for("the shop is ready again", ready)
    everything_is_settled_and_balanced()


def clean_stop() -> None:
    print("stop")
    shopper = customer()
    shopper.put_in_cart(LAMP)
    shopper.order()
    rows = int(sql("SELECT count(*) FROM retail_metric"))
    compose("stop", "web", "worker")
    states = [json.loads(line) for line in compose("ps", "-a", "--format", "json").splitlines()]
    codes = {one["Service"]: one["ExitCode"] for one in states}
    check("web and worker end with 0", (codes["web"], codes["worker"]) == (0, 0))
    check("what was in memory was written", int(sql("SELECT count(*) FROM retail_metric")) > rows)


def main() -> None:
    if subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    ).returncode:
        sys.exit("make stack-test needs Docker with the compose plugin, and its engine running.")
    lines = [f"{name}={value}\n" for name, value in {**PORTS, **SETTINGS}.items()]
    ENV_FILE.write_text("".join(lines), encoding="utf-8")
    compose("down", "--volumes", "--remove-orphans")
    try:
        start()
        commands()
        order_survives_down_and_up()
        killed_in_mid_order()
        restart_of_the_database_under_load()
        monitoring.everything()
        clean_stop()
    finally:
        if "--keep" not in sys.argv:
            compose("down", "--volumes")
    print("The containers do what the guide says.")


if __name__ == "__main__":
    main()

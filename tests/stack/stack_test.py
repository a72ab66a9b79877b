"""The containers, for real: `make stack-test`. Needs Docker with compose; takes about two minutes.

    python tests/stack/stack_test.py [--keep]

Starts a project of its own beside any that runs (other ports, other volumes) and removes it again.
Prints what it saw; exits with 1 at the first thing that is not so. The images are built if they are
not there; `docker compose build` makes new ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "app"))

import requests

from drills.shoppers import Shopper, form_of

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = "vitrine-stack-test"
PORTS = {"WEB_PORT": "18000", "DB_PORT": "15432", "GATEWAY_PAGE_PORT": "18001"}
WEB, GATEWAY = (f"http://127.0.0.1:{PORTS[name]}" for name in ("WEB_PORT", "GATEWAY_PAGE_PORT"))
# Quicker than in production, so that the test need not wait minutes for the worker.
SETTINGS = {"PAYMENT_RESEND_AFTER": "3", "THROTTLE_CHECKOUT_LIMIT": "1000"}
# Instead of a .env, which may be the person's own.
ENV_FILE = Path(tempfile.mkdtemp()) / "env"
LAMP = "/products/lumen-desk-lamp/"
PATIENCE = 120  # seconds after which a wait is given up
ANSWERS = {200, 409, 429, 503}
API = {"Authorization": "Bearer dev-gateway-key"}
FAULTS = {"Authorization": "Bearer dev-faults-token"}


def check(what: str, true: object) -> None:
    if not true:
        sys.exit(f"NOT SO: {what}")
    print(f"  {what}")


def wait_for(what: str, true: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(OSError, subprocess.CalledProcessError, LookupError):
            if result := true():
                return result
        time.sleep(0.5)
    sys.exit(f"NOT SO: {what} (waited {PATIENCE} s)")


def compose(*arguments: str, text: str | None = None) -> str:
    """Run docker compose on the test's own project and return what it printed."""
    done = subprocess.run(
        ["docker", "compose", "--project-name", PROJECT, *arguments],
        cwd=ROOT,
        env={**os.environ, "COMPOSE_ENV_FILES": str(ENV_FILE), "VITRINE_ENV_FILE": str(ENV_FILE)},
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
        done.check_returncode()
    return done.stdout


def manage(*arguments: str) -> str:
    return compose("exec", "-T", "web", "python", "manage.py", *arguments)


def sql(statement: str) -> str:
    command = f'psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -tAc "{statement}"'
    return compose("exec", "-T", "db", "sh", "-c", command).strip()


def knobs(**changes: object) -> None:
    requests.delete(f"{GATEWAY}/faults", headers=FAULTS, timeout=10).raise_for_status()
    answer = requests.put(f"{GATEWAY}/faults", json=changes, headers=FAULTS, timeout=10)
    answer.raise_for_status()


def charges() -> dict[str, dict[str, Any]]:
    """Return the gateway's approved charges by key."""
    found: dict[str, dict[str, Any]] = {}
    after = 0
    while True:
        url = f"{GATEWAY}/v1/charges?after={after}&limit=1000"
        rows = requests.get(url, headers=API, timeout=10).json()["charges"]
        if not rows:
            return found
        after = rows[-1]["id"]
        found |= {row["key"]: row for row in rows if row["status"] == "approved"}


def customer() -> Shopper:
    shopper = Shopper(WEB)
    shopper.register()
    return shopper


def ready() -> bool:
    answer = requests.get(f"{WEB}/readyz", timeout=5)
    return bool(answer.json()["status"] == "ready")


def everything_is_settled_and_balanced() -> None:
    open_ones = "SELECT count(*) FROM orders_payment WHERE status IN ('PENDING', 'UNKNOWN')"
    wait_for("no payment stays open", lambda: sql(open_ones) == "0")
    paid = set(sql("SELECT key FROM orders_payment WHERE status = 'COMPLETED'").split())
    check(
        f"the gateway's {len(paid)} charges are our payments, one for one", paid == set(charges())
    )
    ledger = (
        "SELECT count(*) FROM products_product p WHERE stock <> "
        "(SELECT sum(quantity) FROM products_stockmovement m WHERE m.product_id = p.id)"
    )
    check("the stock is the sum of its movements", sql(ledger) == "0")
    units = (
        "SELECT coalesce(sum(i.quantity), 0) FROM orders_saleitem i "
        "JOIN orders_sale s ON s.id = i.sale_id WHERE s.status = 'CONFIRMED'"
    )
    moved = (
        "SELECT coalesce(-sum(quantity), 0) FROM products_stockmovement "
        "WHERE reason IN ('sale', 'return')"
    )
    check("what left the stock is what was confirmed", sql(units) == sql(moved))


def start() -> None:
    print("docker compose up -d")
    began = time.monotonic()
    compose("up", "-d")
    wait_for("the shop is ready", ready)
    print(f"  ready after {time.monotonic() - began:.0f} s")
    states = [json.loads(line) for line in compose("ps", "-a", "--format", "json").splitlines()]
    migrations = [one for one in states if one["Service"] == "migrate"]
    check("migrations ran once", [one["ExitCode"] for one in migrations] == [0])
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
        clean_stop()
    finally:
        if "--keep" not in sys.argv:
            compose("down", "--volumes")
    print("The containers do what the guide says.")


if __name__ == "__main__":
    main()

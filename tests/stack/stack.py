"""The test's own project of containers: how to command it, look into it and shop in it."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
import requests

from drills.shoppers import Shopper

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = "vitrine-stack-test"
PORTS = {
    "WEB_PORT": 18000,
    "GATEWAY_PAGE_PORT": 18001,
    "PROMETHEUS_PORT": 19090,
    "ALERTMANAGER_PORT": 19093,
    "GRAFANA_PORT": 13000,
    "DB_PORT": 15432,
}
WEB, GATEWAY, PROMETHEUS, ALERTMANAGER, GRAFANA, _ = (
    f"http://127.0.0.1:{port}" for port in PORTS.values()
)
SETTINGS = {
    # Quicker than in production, so that the test need not wait minutes for the worker.
    "PAYMENT_RESEND_AFTER": "3",
    "THROTTLE_CHECKOUT_LIMIT": "100000",
    # Without them, Prometheus and Alertmanager would be let in anyway.
    "METRICS_TOKEN": "stack-test-scrapes",
    "ALERTS_TOKEN": "stack-test-alerts",
}
# Instead of a .env, which may be the person's own.
ENV_FILE = Path(tempfile.mkdtemp()) / "env"
LAMP = "/products/lumen-desk-lamp/"
PATIENCE = 120  # seconds after which a wait is given up
API = {"Authorization": "Bearer dev-gateway-key"}
FAULTS = {"Authorization": "Bearer dev-faults-token"}


def check(what: str, true: object) -> None:
    if not true:
        sys.exit(f"NOT SO: {what}")
    print(f"  {what}")


def wait_for(what: str, true: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Return what `true` says, once it is not empty."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        with contextlib.suppress(OSError, subprocess.CalledProcessError, LookupError):
            if result := true():
                return result
        time.sleep(0.5)
    sys.exit(f"NOT SO: {what} (waited {patience:.0f} s)")


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


def order(shopper: Shopper, request_id: str = "", card: str = "tok_good") -> requests.Response:
    """Buy a lamp, the checkout under `request_id`; return the page that it ends on."""
    shopper.put_in_cart(LAMP)
    page = shopper.get("/checkout/")
    shopper.session.headers["X-Request-ID"] = request_id or f"stack-{secrets.token_hex(6)}"
    fields = {"delivery_name": "Sam", "delivery_address": "1 Street", "payment_token": card}
    try:
        return shopper.submit(page, "/checkout/", **fields)
    finally:
        del shopper.session.headers["X-Request-ID"]


def restock() -> None:
    """Have more lamps than all of this can sell."""
    script = (
        "from products.models import Product, StockMovement as M; "
        "from products.services import stock_set; "
        "lamp = Product.objects.get(slug='lumen-desk-lamp'); "
        "stock_set(product_id=lamp.pk, stock=5000, reason=M.Reason.ADMIN, reference='')"
    )
    manage("shell", "--no-imports", "-c", script)


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

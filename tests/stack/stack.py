"""The test's own compose project: run commands and queries in it, and place orders."""

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
    # Shorter than in production, so that the test does not wait minutes for the worker.
    "PAYMENT_RESEND_AFTER": "3",
    "THROTTLE_CHECKOUT_LIMIT": "100000",
    "THROTTLE_REGISTER_LIMIT": "100000",
    # Without tokens, the shop accepts Prometheus and Alertmanager anyway.
    "METRICS_TOKEN": "stack-test-scrapes",
    "ALERTS_TOKEN": "stack-test-alerts",
}
# Replaces .env, which may contain the developer's own settings.
ENV_FILE = Path(tempfile.mkdtemp()) / "env"
LAMP = "/products/lumen-desk-lamp/"
TIMEOUT = 120  # seconds
API = {"Authorization": "Bearer dev-gateway-key"}
FAULTS = {"Authorization": "Bearer dev-faults-token"}


def check(claim: str, holds: object) -> None:
    if not holds:
        sys.exit(f"FAILED: {claim}")
    print(f"  {claim}")


def wait_for(claim: str, condition: Callable[[], Any], timeout: float = TIMEOUT) -> Any:
    """Wait until the condition returns something truthy, and return that."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        with contextlib.suppress(OSError, subprocess.CalledProcessError, LookupError):
            if result := condition():
                return result
        time.sleep(0.5)
    sys.exit(f"FAILED: {claim} (waited {timeout:.0f} s)")


def compose(*arguments: str, text: str | None = None) -> str:
    """Run docker compose on the test's own project and return its output."""
    done = subprocess.run(
        ["docker", "compose", "--project-name", PROJECT, *arguments],
        cwd=ROOT,
        env={**os.environ, "COMPOSE_ENV_FILES": str(ENV_FILE)},
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


def set_faults(**faults: object) -> None:
    """Replace the gateway's faults. Without arguments, switch all of them off."""
    requests.delete(f"{GATEWAY}/faults", headers=FAULTS, timeout=10).raise_for_status()
    response = requests.put(f"{GATEWAY}/faults", json=faults, headers=FAULTS, timeout=10)
    response.raise_for_status()


def charges() -> dict[str, dict[str, Any]]:
    """Return the gateway's approved charges by key."""
    approved: dict[str, dict[str, Any]] = {}
    after = 0
    while True:
        url = f"{GATEWAY}/v1/charges?after={after}&limit=1000"
        rows = requests.get(url, headers=API, timeout=10).json()["charges"]
        if not rows:
            return approved
        after = rows[-1]["id"]
        approved |= {row["key"]: row for row in rows if row["status"] == "approved"}


def customer() -> Shopper:
    shopper = Shopper(WEB)
    shopper.register()
    return shopper


def order(shopper: Shopper, request_id: str = "", card: str = "tok_good") -> requests.Response:
    """Buy a lamp, with `request_id` on the checkout, and return the resulting page."""
    shopper.put_in_cart(LAMP)
    page = shopper.get("/checkout/")
    shopper.session.headers["X-Request-ID"] = request_id or f"stack-{secrets.token_hex(6)}"
    shopper.session.headers["Authorization"] = f"Bearer {SETTINGS['METRICS_TOKEN']}"
    fields = {"delivery_name": "Sam", "delivery_address": "1 Street", "payment_token": card}
    try:
        return shopper.submit(page, "/checkout/", **fields)
    finally:
        del shopper.session.headers["X-Request-ID"], shopper.session.headers["Authorization"]


def restock() -> None:
    """Set the lamp's stock to more than the test can sell."""
    script = (
        "from products.models import Product, StockMovement as M; "
        "from products.services import stock_set; "
        "lamp = Product.objects.get(slug='lumen-desk-lamp'); "
        "stock_set(product_id=lamp.pk, stock=5000, reason=M.Reason.ADMIN, reference='')"
    )
    manage("shell", "--no-imports", "-c", script)


def ready() -> bool:
    response = requests.get(f"{WEB}/readyz", timeout=5)
    return bool(response.json()["status"] == "ready")


def everything_is_settled_and_consistent() -> None:
    open_payments = "SELECT count(*) FROM orders_payment WHERE status IN ('PENDING', 'UNKNOWN')"
    wait_for("no payment stays open", lambda: sql(open_payments) == "0")
    paid = set(sql("SELECT key FROM orders_payment WHERE status = 'COMPLETED'").split())
    check(f"the gateway's {len(paid)} charges match the shop's payments", paid == set(charges()))
    ledger = (
        "SELECT count(*) FROM products_product p WHERE stock <> "
        "(SELECT sum(quantity) FROM products_stockmovement m WHERE m.product_id = p.id)"
    )
    check("the stock equals the sum of its movements", sql(ledger) == "0")
    units = (
        "SELECT coalesce(sum(i.quantity), 0) FROM orders_saleitem i "
        "JOIN orders_sale s ON s.id = i.sale_id WHERE s.status = 'CONFIRMED'"
    )
    moved = (
        "SELECT coalesce(-sum(quantity), 0) FROM products_stockmovement "
        "WHERE reason IN ('sale', 'release')"
    )
    check("the units that left the stock equal the confirmed orders", sql(units) == sql(moved))

"""Links of panels, alerts and pages lead to what they name: log lines of real faults, and pages.

The lines come from running processes. They are filtered as the logs dashboard does, by the
variables in the link's address.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from alerts.build import alerts
from alerts.model import GRAFANA_URL, SHOP_URL
from drills.shoppers import Shopper
from grafana.build import DASHBOARDS
from grafana.page import TITLES
from grafana.parts import KEEP
from tests.contracts.emitted import FILE, LAMP, PARTNER
from tests.running.proxy import nginx_program, running_proxy
from tests.running.support import DUE, PATIENCE, RunningShop, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.left_out import LeaveOut

VARIABLES = {variable["name"] for variable in DASHBOARDS["logs"]["templating"]["list"]}
LABELS = {"service": "service_name", "level": "level", "logger": "logger"}
# What Prometheus would fill in.
TEMPLATES = {"job": "web", "service_name": "web", "instance": "web:8000"}
# A job that fails, and an e-mail that nobody can compose.
NO_AUDIT = "from retail.tasks import run_audit; run_audit.enqueue('what')"
NO_SUCH_SALE = "from orders.announcements import CONFIRMED; CONFIRMED.write(about='VT-0')"
# The worker sends the refund.
CANCEL = (
    "from orders.models import Sale; from returns.services import order_cancel; "
    "order_cancel(sale=Sale.objects.filter(status='CONFIRMED').latest('pk'), user_id=None)"
)
AUDIT = "from retail.tasks import run_audit; run_audit.enqueue()"
SQL = "from django.db import connection; connection.cursor().execute({!r})"


class Line(NamedTuple):
    """A log line as Loki has it."""

    service_name: str
    level: str
    logger: str
    request_id: str
    event: str
    text: str


def lines_of(shop: RunningShop) -> list[Line]:
    """Return the lines that the collector would have shipped by now."""
    files = {
        "web": "application.log",
        "worker": "worker/application.log",
        "gateway": "gateway.log",
        "proxy": "proxy.log",
    }
    return [
        Line(
            service_name=service,
            level=line["level"],
            logger=line["logger"],
            request_id=line["request_id"] or "",
            event=line["message"].removeprefix("event="),
            text=text,
        )
        for service, path in files.items()
        if (shop.folder / "logs" / path).exists()
        for text, line in zip(
            (shop.folder / "logs" / path).read_text().splitlines(),
            shop.log(f"logs/{path}"),
            strict=False,
        )
    ]


class Shop(RunningShop):
    """A shop in which everything that is logged goes wrong once."""

    def sql(self, statement: str) -> None:
        self.run(SQL.format(statement))

    def logs(self, event: str, service: str) -> bool:
        return any(line.event == event for line in lines_of(self) if line.service_name == service)

    def until(self, event: str, service: str = "web") -> None:
        wait_until(lambda: self.logs(event, service), f"{event} of {service}")

    def refuse(self, what: str, table: str) -> None:
        """Have the database refuse some writes, as a violated constraint would."""
        self.sql(
            f"CREATE TRIGGER refuse BEFORE {what} ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END"
        )

    def order(self) -> requests.Response:
        shopper = self.shopper()
        shopper.put_in_cart(LAMP)
        return shopper.order()

    def fail(self) -> None:
        """Cause each fault, and wait for its line."""
        self.gateway.knobs(latency_ms=1100)
        self.order()
        self.run(CANCEL)
        self.until("refund.settled", "worker")
        self.run(PARTNER)
        self.run(FILE)
        self.until("feed.applied", "worker")
        self.run(NO_SUCH_SALE)
        self.until("email.deferred", "worker")
        self.run(NO_AUDIT)
        self.until("job.failed", "worker")
        self.refuse("UPDATE OF stock", "products_product")
        self.order()
        self.until("stock.conflict")
        self.sql("DROP TRIGGER refuse")
        self.gateway.knobs(off=True)
        for _ in range(4):
            self.order()
        self.until("breaker.transition")
        self.run(AUDIT)
        self.until("audit.not_checked", "worker")
        self.gateway.knobs()
        self.refuse("UPDATE OF status", "orders_payment")
        self.pass_the_rest()
        self.run(DUE)
        self.until("payment.finish_failed", "worker")
        self.sql("DROP TRIGGER refuse")
        self.settle()
        self.until("payment.cancel", "worker")
        self.refuse("INSERT", "retail_metric")
        self.order()
        self.until("metric_rows.not_written")
        self.sql("DROP TRIGGER refuse")
        self.without("payments_circuitbreaker", "metrics.source_failed", "web")
        self.without("products_stockmovement", "audit.failed", "worker")
        self.sql("UPDATE products_product SET stock = stock + 1")
        self.run(AUDIT)
        self.until("audit.violated", "worker")

    def without(self, table: str, event: str, service: str) -> None:
        """Take a table away until a line tells that it is missing."""
        self.sql(f"ALTER TABLE {table} RENAME TO away")
        self.run(AUDIT)

        def told() -> bool:
            requests.get(f"{self.url}/metrics", timeout=30)
            return self.logs(event, service)

        wait_until(told, event)
        self.sql(f"ALTER TABLE away RENAME TO {table}")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    settings = {
        "GRAFANA_URL": GRAFANA_URL,
        "BREAKER_RESET_SECONDS": "3600",
        "PAYMENT_CANCEL_AFTER": "0",
    }
    shop = Shop(tmp_path_factory.mktemp("links"), settings)
    try:
        shop.start("web")
        shop.start("worker", LOG_DIR=str(shop.folder / "logs" / "worker"))
        shop.fail()
        yield shop
    finally:
        shop.close()


@pytest.fixture(scope="module")
def lines(shop: Shop, left_out: LeaveOut) -> list[Line]:
    with running_proxy(nginx_program(left_out), shop.folder, f"127.0.0.1:{free_port()}") as proxy:
        requests.get(proxy.url, timeout=PATIENCE)
        proxy.lines(1)
    return lines_of(shop)


@pytest.fixture(scope="module")
def staff(shop: Shop) -> Shopper:
    """Return a client that is logged in as staff."""
    shop.manage("create_admin")
    client = Shopper(shop.url)
    page = client.get("/accounts/login/")
    client.submit(page, "/accounts/login/", username="admin", password="admin123")
    return client


def behind(url: str, lines: list[Line]) -> list[Line]:
    """Return the lines that the logs dashboard shows for a link."""
    wanted: dict[str, list[str]] = {}
    for name, value in parse_qsl(urlsplit(url).query):
        if name.startswith("var-"):
            assert name[4:] in VARIABLES, f"{url}: the logs dashboard has no variable {name[4:]}"
            wanted.setdefault(name[4:], []).append(value)
    text = wanted.pop("text", [""])[0]
    request_id = wanted.pop("request_id", [""])[0]
    return [
        line
        for line in lines
        if re.search(text, line.text)
        and line.request_id.startswith(request_id)
        and all(getattr(line, LABELS[name]) in values for name, values in wanted.items())
    ]


def filled(text: str) -> str:
    """Return an annotation as Prometheus sends it."""
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda m: TEMPLATES[m[1]], text)


def named(text: str) -> set[str]:
    """Return the events that a text tells people to find."""
    return set(re.findall(r"event=([a-z_]+\.[a-z_]+)", text))


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: f"{alert.name} {alert.severity}")
def test_an_alert_links_to_the_lines_that_it_names(alert: Any, lines: list[Line]) -> None:
    shown = behind(filled(alert.annotations()["logs_url"]), lines)
    assert shown
    assert named(" ".join(alert.steps)) <= {line.event for line in shown}


def links() -> Iterator[tuple[str, str, str]]:
    """Yield the description, title and address of each link of a panel to the logs."""
    for page in DASHBOARDS.values():
        for panel in page["panels"]:
            defaults = panel.get("fieldConfig", {}).get("defaults", {})
            for link in [*panel.get("links", []), *defaults.get("links", [])]:
                if link["url"].startswith("/d/retail-logs?"):
                    yield panel["description"], link["title"], link["url"].replace(KEEP, "")


def test_panels_link_to_the_lines_that_they_name(lines: list[Line]) -> None:
    titles = set()
    for description, title, url in links():
        shown = behind(url, lines)
        assert shown, title
        assert named(description) <= {line.event for line in shown}, (title, description)
        titles.add(title)
    assert len(titles) >= 4


def test_slow_and_failed_requests_are_both_shown_and_nothing_else(lines: list[Line]) -> None:
    (url,) = {url for _, title, url in links() if title == "Logs of slow and failed requests"}
    shown = [line for line in behind(url, lines) if line.event == "http.request"]
    statuses = {int(re.findall(r'"status":(\d+)', line.text)[0]) for line in shown}
    # An order that took a second, and refusals. On a busy machine, pages may take as long.
    assert {3, 5} <= {status // 100 for status in statuses}
    for line in shown:
        took = float(re.findall(r'"duration_ms":([\d.]+)', line.text)[0])
        assert took >= 1000 or '"status":5' in line.text
    assert any('"status":200' in line.text for line in lines)


def test_alerts_link_to_runbooks_and_dashboards_that_exist(shop: Shop, staff: Shopper) -> None:
    for alert in alerts():
        runbook, dashboard = (
            alert.annotations()[f"{kind}_url"] for kind in ("runbook", "dashboard")
        )
        assert staff.get(runbook.removeprefix(SHOP_URL)).status_code == 200, runbook
        assert urlsplit(dashboard).path.removeprefix("/d/") in TITLES


def test_errors_on_the_shops_dashboard_link_to_the_lines_of_their_request(
    staff: Shopper, lines: list[Line]
) -> None:
    link = re.compile(rf'href="({re.escape(GRAFANA_URL)}/d/retail-logs[^"]+)"')
    found = wait_until(  # the errors are stored at the end of their interval
        lambda: link.findall(staff.get("/metrics/dashboard/?range=1h").text), "the errors"
    )
    for url in found:
        shown = behind(url.replace("&amp;", "&"), lines)
        assert any('"status":5' in line.text for line in shown if line.event == "http.request")


def test_the_filter_is_the_logs_dashboards() -> None:
    (panel,) = (panel for panel in DASHBOARDS["logs"]["panels"] if panel["type"] == "logs")
    expr = panel["targets"][0]["expr"]
    assert expr.startswith(
        '{service_name=~"$service",level=~"$level",logger=~"$logger"} |~ `${text}`'
        " | request_id=~`${request_id}.*`"
    )

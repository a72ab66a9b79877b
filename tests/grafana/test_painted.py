"""Panels with a real Prometheus: all have data while the shop runs, and none is green without."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from grafana.build import DASHBOARDS
from grafana.parts import GOOD, NO_DATA, QUIET
from tests.contracts.emitted import LAMP, PARTNER, SETTINGS, journey
from tests.grafana.support import Prometheus, painted
from tests.running.support import RunningShop, free_port, wait_until
from tools.with_postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.left_out import LeaveOut

STATS = {
    f"{page['uid']}: {panel['title']}": panel
    for page in DASHBOARDS.values()
    for panel in page["panels"]
    if panel["type"] == "stat" and panel["datasource"]["uid"] == "prometheus"
}
# Of programs that these tests do not run.
FOREIGN = (
    *("pg_", "otelcol_", "alertmanager_", "loki_", "node_", "probe_"),
    "prometheus_notifications",
)
GREEN_WITHOUT_THE_SHOP = {"retail-shop: What is up", "retail-watch: Watchdog"}
DEBUG_OFF = {
    "DEBUG": "False",
    "DEMO": "True",
    "HTTPS": "False",
    "SECRET_KEY": "a-secret-key-for-tests-of-dashboards-that-is-long-enough",
    "ALLOWED_HOSTS": "127.0.0.1",
    "EMAIL_HOST": "127.0.0.1",
    "METRICS_TOKEN": "metrics-token-of-the-dashboards-tests",
    "ALERTS_TOKEN": "alerts-token-of-the-dashboards-tests",
    "GATEWAY_API_KEY": "gateway-key-of-the-dashboards-tests",
    "WEB_CONCURRENCY": "2",
}
ROWS = 'retail_feed_rows_total{partner="acme"}'
STATE = "__import__('payments.models').models.CircuitBreaker.objects.get().state"
SUCCESS = "retail-payments: Payment success, A"
SETUPS = {
    "SQLite, one web process": {},
    "PostgreSQL, Valkey, two web processes, DEBUG off": DEBUG_OFF,
}


@pytest.fixture(scope="module")
def program(left_out: LeaveOut) -> str:
    """Return the path of Prometheus."""
    return shutil.which("prometheus") or left_out(
        "prometheus",
        "the panels' queries are not run",
        "sudo apt-get install --no-install-recommends prometheus",
    )


def green(panels: dict[str, dict[str, Any]], prometheus: Prometheus) -> set[str]:
    return {
        name
        for name, panel in panels.items()
        if any(colour == GOOD for _, colour in painted(panel, prometheus))
    }


@pytest.fixture(scope="module")
def servers(
    left_out: LeaveOut, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Start PostgreSQL and a cache server; return the settings with their addresses."""
    cache = (
        shutil.which("valkey-server")
        or shutil.which("redis-server")
        or left_out(
            "redis-server",
            "the panels' queries are not run for a shop with CACHE_URL",
            "sudo apt-get install --no-install-recommends redis-server",
        )
    )
    port = str(free_port())
    command = [cache, "--bind", "127.0.0.1", "--port", port, "--save", ""]
    with postgres(fsync=False) as server:
        running = subprocess.Popen(command, cwd=tmp_path_factory.mktemp("cache"))
        try:
            yield {"DATABASE_URL": server.url, "CACHE_URL": f"redis://127.0.0.1:{port}/0"}
        finally:
            running.kill()
            running.wait()


@pytest.fixture(scope="module", params=SETUPS)
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningShop]:
    """Return a shop in a recommended setup."""
    folder = tmp_path_factory.mktemp("shop")
    settings = SETUPS[request.param]
    if settings:
        settings = {**settings, **request.getfixturevalue("servers")}
    shop = RunningShop(folder, {**SETTINGS, **settings, "STATIC_ROOT": str(folder / "static")})
    try:
        if settings:  # with DEBUG off, the shop refuses the development key
            shop.gateway.stop()
            shop.gateway.env["GATEWAY_API_KEY"] = settings["GATEWAY_API_KEY"]
            shop.gateway.url = ""
            shop.environment["GATEWAY_URL"] = shop.gateway.start().url
            shop.manage("collectstatic", "--noinput")
        shop.start("web", "worker")
        yield shop
    finally:
        shop.close()


@pytest.fixture(scope="module")
def prometheus(
    program: str, shop: RunningShop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Return a Prometheus that scrapes the shop."""
    ports = {"web": shop.port, "worker": shop.worker_port}
    targets = {job: f"127.0.0.1:{port}" for job, port in ports.items()}
    targets["gateway"] = shop.gateway.url.removeprefix("http://")
    token = shop.environment.get("METRICS_TOKEN", "")
    prometheus = Prometheus(program, tmp_path_factory.mktemp("prometheus"), targets, token)
    yield prometheus
    prometheus.close()


def own_queries() -> dict[str, str]:
    """Return the queries of panels and annotations, without those for programs not run here."""
    queries = {
        f"{page['uid']}: {panel['title']}, {target['refId']}": target["expr"]
        for page in DASHBOARDS.values()
        for panel in page["panels"]
        for target in panel.get("targets", ())
        if target["datasource"]["uid"] == "prometheus"
    }
    return {name: expr for name, expr in queries.items() if not any(f in expr for f in FOREIGN)}


def open_the_breaker(shop: RunningShop) -> None:
    """Switch the gateway off, and order until the breaker is open; it stays so."""
    shop.gateway.knobs(off=True)
    while shop.query(STATE) != "open":
        shopper = shop.shopper()
        shopper.put_in_cart(LAMP)
        shopper.order()


def test_every_panel_has_data(shop: RunningShop, prometheus: Prometheus) -> None:
    wait_until(lambda: len(prometheus.values("up == 1")) == 4, "the first scrapes")
    shop.run(PARTNER)
    wait_until(lambda: prometheus.values(ROWS), "the partner, before its first file")
    queries = own_queries()
    assert len(queries) > 90
    # While the breaker is open, and for a time afterwards, payment success is not shown.
    shopper = shop.shopper()
    shopper.put_in_cart(LAMP)
    shopper.order()
    wait_until(lambda: prometheus.lines(queries[SUCCESS]), "the first payment")
    journey(shop)
    open_the_breaker(shop)

    def all_have_data() -> bool:
        for name in [name for name, expr in queries.items() if prometheus.lines(expr)]:
            del queries[name]
        return not queries

    with contextlib.suppress(AssertionError):
        wait_until(all_have_data, "data in every panel")
    assert queries == {}


def test_in_an_outage_nothing_about_payments_is_green(prometheus: Prometheus) -> None:
    is_open = 'max(retail_circuit_breaker_state{state="open"}) == 1'
    wait_until(lambda: prometheus.values(is_open), "the breaker to be shown open")
    success = STATS["retail-payments: Payment success"]
    assert list(painted(success, prometheus)) == [("breaker open", QUIET)]
    names = {"Circuit breaker", "Payment success", "Good checkouts", "Failed calls"}
    about = {f"{uid}: {name}" for uid in ("retail-shop", "retail-payments") for name in names}
    found = {name: panel for name, panel in STATS.items() if name in about}
    assert len(found) == 7
    assert green(found, prometheus) == set()


def test_nothing_is_green_once_the_shop_is_dead(shop: RunningShop, prometheus: Prometheus) -> None:
    assert len(green(STATS, prometheus)) > 10
    for name in ("web", "worker"):
        shop.end(name, signal.SIGKILL)
    wait_until(lambda: len(prometheus.values("up == 0")) == 2, "the shop to be down")
    wait_until(lambda: prometheus.values('ALERTS{alertname="RetailTargetDown"}'), "the alert")
    stats = {name: panel for name, panel in STATS.items() if name not in GREEN_WITHOUT_THE_SHOP}
    assert green(stats, prometheus) == set()
    home = {text for text, _ in painted(STATS["retail-shop: What is up"], prometheus)}
    assert home == {"DOWN", "up", NO_DATA}
    orders = STATS["retail-shop: Orders per minute"]
    assert list(painted(orders, prometheus)) == [(NO_DATA, QUIET)]


def test_nothing_is_green_without_any_data(
    program: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    prometheus = Prometheus(program, tmp_path_factory.mktemp("empty"), rules=False)
    try:
        wait_until(lambda: prometheus.values("up"), "the first scrape")
        assert len(STATS) > 30
        # Prometheus itself is monitored.
        assert green(STATS, prometheus) == {"retail-shop: What is up"}
        texts = {name: {text for text, _ in painted(STATS[name], prometheus)} for name in STATS}
        assert texts["retail-shop: What is up"] == {"DOWN", "up", NO_DATA}
        assert {name for name, found in texts.items() if found != {NO_DATA}} == {
            "retail-shop: What is up",
            # Prometheus answers, so it knows these.
            "retail-jobs: Worker",
            "retail-system: Web processes",
            "retail-system: Worker processes",
            "retail-watch: Targets down",
            "retail-watch: Watchdog",
        }
    finally:
        prometheus.close()

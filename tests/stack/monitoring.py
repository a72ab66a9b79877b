"""Monitoring, tested from outside: series, alerts, log lines, and the shop without them."""

from __future__ import annotations

import json
import re
import secrets
import sys
import time
from functools import cache
from http import HTTPStatus

import requests
import yaml

from drills.shoppers import Shopper
from tests.stack.expressions import names_are_known, panels_have_data
from tests.stack.lines import found_by_request_id, outage_of_loki
from tests.stack.stack import (
    ALERTMANAGER,
    GRAFANA,
    PROMETHEUS,
    ROOT,
    WEB,
    check,
    compose,
    customer,
    manage,
    order,
    ready,
    restock,
    set_faults,
    wait_for,
)

BREAKER, PROXY_ERRORS = "RetailCircuitBreakerOpen", "RetailProxyErrorsHigh"
OUTAGE_ENDS = 420  # seconds: the rule covers two minutes, and Alertmanager waits for one more
WITHOUT = 15  # seconds of orders without Prometheus, then without Alertmanager


@cache
def grafana_is_here() -> bool:
    """Return whether Grafana runs, and not a stand-in for its image."""
    return bool(compose("exec", "-T", "grafana", "sh", "-c", "ls -d /usr/share/grafana || true"))


def is_healthy() -> None:
    """Wait for every container with a health check."""
    ignored = set() if grafana_is_here() else {"grafana"}

    def unhealthy() -> set[str]:
        states = [json.loads(line) for line in compose("ps", "--format", "json").splitlines()]
        return {
            state["Service"] for state in states if state["Health"] in {"starting", "unhealthy"}
        }

    wait_for("everything is healthy", lambda: not unhealthy() - ignored)
    print("  everything is healthy" + ", except Grafana, whose image is missing" * bool(ignored))


def configs_are_accepted() -> None:
    """Have each program validate its configuration; `config` rejects development values."""
    print("configuration files")
    once = ("run", "--rm", "--no-deps", "-T")
    rendered = "/config/prometheus/prometheus.yml", "/config/alertmanager/alertmanager.yml"
    compose("exec", "-T", "prometheus", "promtool", "check", "config", rendered[0])
    compose("exec", "-T", "alertmanager", "amtool", "check-config", rendered[1])
    compose(*once, "loki", "-config.file=/etc/loki/loki.yml", "-verify-config")
    compose(*once, "collector", "validate", "--config=/etc/otelcol-contrib/config.yaml")
    print("  Prometheus, Alertmanager, Loki and the collector accept it")
    script = "DEBUG=False python /alerts/render.py /tmp/new 2>&1 && echo accepted"
    output = compose(*once, "config", "sh", "-c", f"{script} || true")
    check(
        "with DEBUG off, development passwords are rejected",
        all(word in output for word in ("GRAFANA_PASSWORD", "POSTGRES_PASSWORD"))
        and "accepted" not in output,
    )


def series(expr: str) -> list[dict[str, object]]:
    """Return the current result of a PromQL query."""
    url = f"{PROMETHEUS}/api/v1/query"
    response = requests.get(url, params={"query": expr}, timeout=10).json()
    return list(response["data"]["result"])


def value(expr: str) -> float:
    """Return the current value of a PromQL query, or 0 without a result."""
    result = series(expr)
    return float(result[0]["value"][1]) if result else 0.0  # type: ignore[index]


def targets_are_up() -> None:
    """Wait until Prometheus can scrape every target."""
    down = "up == 0" if grafana_is_here() else 'up{job!="grafana"} == 0'
    wait_for("every target is up", lambda: series("up") and not series(down))
    jobs = sorted({str(target["metric"]["job"]) for target in series("up")})  # type: ignore[index]
    config = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    expected = sorted(scrape["job_name"] for scrape in config["scrape_configs"])
    check(f"targets: {', '.join(jobs)}", jobs == expected)


def orders_become_series() -> None:
    """Place orders, cancel one, and find them and its refund in Prometheus."""
    print("orders in Prometheus")
    targets_are_up()
    # Series of containers that compose removed earlier still exist for five minutes.
    alive = "and on (job, instance) time() - timestamp(up) < 20"
    confirmed = f'sum(retail_orders_total{{outcome="confirmed"}} {alive})'
    before, shopper = value(confirmed), customer()
    refunded = f'sum(retail_refunds_total{{outcome="succeeded"}} {alive})'
    refunds_before = value(refunded)
    for _ in range(5):
        check("an order is confirmed", "Thank you" in (page := order(shopper)).text)
    order(shopper, card="tok_declined")
    wait_for("five orders more in Prometheus", lambda: value(confirmed) == before + 5)
    check("an order is cancelled", "is cancelled" in shopper.cancel(page).text)
    wait_for("one refund more in Prometheus", lambda: value(refunded) == refunds_before + 1)
    print(f"  Prometheus counts {before + 5:.0f} confirmed orders, five more than before")


ROWS = 9  # good ones of a partner's file
PARTNER = """
from partner_feeds.models import Partner
from partner_feeds.services import push_key_create
from products.models import Category
category = Category.objects.first()
partner, _ = Partner.objects.get_or_create(
    slug="stack", defaults={"name": "Stack", "category": category, "fresh_within_minutes": 60}
)
print("key:", push_key_create(partner, None)[1])
"""


def push(key: str, first: int) -> None:
    """Send a partner's file with new rows, and one that is rejected, and wait for its end."""
    rows = "".join(f"S{number},Item {number},9.90,3\n" for number in range(first, first + ROWS))
    headers = {"Authorization": f"Bearer {key}"}
    body = f"sku,name,price,stock\n{rows}X,Unknown,call us,1\n".encode()
    response = requests.post(f"{WEB}/feeds/stack/", body, headers=headers, timeout=20)
    check("a partner's file is stored", response.status_code == HTTPStatus.ACCEPTED)
    url = f"{WEB}/feeds/stack/{response.json()['reference']}/"

    def done() -> bool:
        return bool(requests.get(url, headers=headers, timeout=10).json()["status"] == "DONE")

    wait_for("the worker has applied it", done)


def files_become_series() -> None:
    """Send files of a partner, and find their rows in Prometheus."""
    print("partner feeds in Prometheus")
    key = re.findall(r"key: (\S+)", manage("shell", "-c", PARTNER))[0]
    start = int(time.time())  # so that each run sends new keys
    created = 'max(retail_feed_rows_total{partner="stack",result="created"})'
    push(key, start)
    wait_for("the partner's rows in Prometheus", lambda: value(created) >= ROWS)
    before = value(created)
    push(key, start + 100)
    wait_for("nine rows more in Prometheus", lambda: value(created) == before + ROWS)


def alerts(name: str = BREAKER) -> list[dict[str, object]]:
    """Return the alerts of a name in Alertmanager."""
    url = f"{ALERTMANAGER}/api/v2/alerts"
    return list(requests.get(url, params={"filter": f'alertname="{name}"'}, timeout=10).json())


def staff() -> Shopper:
    """Return a client logged in as staff, who can open the shop's alerts page."""
    manage("create_admin")
    client = Shopper(WEB)
    page = client.get("/accounts/login/")
    client.submit(page, "/accounts/login/", username="admin", password="admin123")
    return client


def outage() -> Shopper:
    """Switch the gateway off until the shop's page shows the alert, then switch it on again."""
    print("gateway outage")
    client, shopper = staff(), customer()
    set_faults(off=True)

    def opened() -> bool:
        order(shopper)
        return value('max(retail_circuit_breaker_state{state="open"})') == 1

    began = time.monotonic()
    wait_for("the breaker opens", opened)
    wait_for(f"{BREAKER} is in Alertmanager", alerts)
    print(f"  {BREAKER} is in Alertmanager after {time.monotonic() - began:.0f} s")
    shown = f"<h3>{BREAKER}</h3>"
    wait_for("the page shows the alert", lambda: shown in client.get("/metrics/alerts/").text)
    print(f"  on /metrics/alerts/ after {time.monotonic() - began:.0f} s")
    set_faults()
    wait_for("payments succeed again", lambda: "Thank you" in order(shopper).text)
    return client


def outage_ended(client: Shopper) -> None:
    """Wait until the alert resolves in Alertmanager and on the shop's page."""
    print("after the outage")
    wait_for(f"{BREAKER} resolves in Alertmanager", lambda: not alerts(), OUTAGE_ENDS)

    def resolved() -> bool:
        page = client.get("/metrics/alerts/").text
        return f"<h3>{BREAKER}</h3>" not in page and BREAKER in page

    wait_for("the page shows it as resolved", resolved, OUTAGE_ENDS)
    print("  the page shows it as resolved")


def sells_without(service: str) -> None:
    """Stop a monitoring service and place orders without it."""
    compose("stop", service)
    shopper, sold, until = customer(), 0, time.monotonic() + WITHOUT
    while time.monotonic() < until:
        page = order(shopper, f"without-{secrets.token_hex(6)}")
        if "Thank you" not in page.text:
            sys.exit(f"FAILED: an order without {service}: {page.status_code}")
        sold += 1
    compose("start", service)
    check(f"{sold} orders without {service}, none failed", sold)


def proxy_alone() -> None:
    """Stop web until the proxy's own answers have raised their alert."""
    print("the proxy alone")
    compose("stop", "web")

    def noticed() -> bool:
        page = requests.post(f"{WEB}/checkout/", timeout=30)
        return page.status_code == HTTPStatus.BAD_GATEWAY and bool(alerts(PROXY_ERRORS))

    began = time.monotonic()
    wait_for(f"{PROXY_ERRORS} is in Alertmanager", noticed, OUTAGE_ENDS)
    print(f"  {PROXY_ERRORS} is in Alertmanager after {time.monotonic() - began:.0f} s")
    counted = value('max(retail_proxy_answers_total{page="checkout",status="5xx"})')
    check(f"Prometheus counts {counted:.0f} checkouts that the proxy answered", counted)
    share = value("service:retail_checkout_errors:ratio_rate5m")
    check(f"{share:.0%} of the checkouts of these minutes were bad", share > 1 / 2)
    compose("start", "web")
    wait_for("the shop is ready again", ready)


def grafana() -> None:
    """Check Grafana's data sources and dashboards."""
    if not grafana_is_here():
        print("  !!! GRAFANA WAS NOT TESTED: a stand-in runs instead of its image !!!")
        return
    session = requests.Session()
    session.auth = ("admin", "admin")
    for uid in ("prometheus", "loki"):
        health = session.get(f"{GRAFANA}/api/datasources/uid/{uid}/health", timeout=20).json()
        check(f"Grafana's data source {uid} is healthy", health["status"] == "OK")
    stored = session.get(f"{GRAFANA}/api/search?type=dash-db", timeout=20).json()
    check(f"Grafana has {len(stored)} dashboards", len(stored) == len(dashboards()))


def dashboards() -> list[str]:
    """Return the uids of the dashboards in the repository."""
    files = (ROOT / "grafana" / "dashboards").glob("*.json")
    return [json.loads(file.read_text(encoding="utf-8"))["uid"] for file in files]


def everything() -> None:
    """Test all of monitoring. Other tests run while the alert resolves."""
    configs_are_accepted()
    restock()
    orders_become_series()
    files_become_series()
    found_by_request_id()
    client = outage()
    outage_of_loki()
    outage_ended(client)
    # Only after that: a restarted Alertmanager does not send the resolution of older alerts.
    print("without monitoring services")
    sells_without("prometheus")
    sells_without("alertmanager")
    targets_are_up()
    print("queries of the dashboards")
    panels_have_data()
    names_are_known(write="--write-series" in sys.argv)
    grafana()
    proxy_alone()

"""What watches the shop, tried from outside: series, alerts, lines, and the shop without them."""

from __future__ import annotations

import json
import secrets
import sys
import time
from functools import cache

import requests

from drills.shoppers import Shopper
from tests.stack.expressions import names_are_known, panels_have_data
from tests.stack.lines import away_for_two_minutes, found_by_request_id
from tests.stack.stack import (
    ALERTMANAGER,
    GRAFANA,
    PROMETHEUS,
    ROOT,
    WEB,
    check,
    compose,
    customer,
    knobs,
    manage,
    order,
    restock,
    wait_for,
)

BREAKER = "RetailCircuitBreakerOpen"
OUTAGE_ENDS = 420  # seconds: the rule looks back for two minutes, Alertmanager waits for one more
WITHOUT = 15  # seconds of orders without Prometheus, then without Alertmanager


@cache
def grafana_is_here() -> bool:
    """Tell whether it is Grafana that runs, or something that stands in for its image."""
    return bool(compose("exec", "-T", "grafana", "sh", "-c", "ls -d /usr/share/grafana || true"))


def is_healthy() -> None:
    """Wait for every container whose image can say how it is."""
    but = set() if grafana_is_here() else {"grafana"}

    def sick() -> set[str]:
        states = [json.loads(line) for line in compose("ps", "--format", "json").splitlines()]
        return {one["Service"] for one in states if one["Health"] in {"starting", "unhealthy"}}

    wait_for("everything is healthy", lambda: not sick() - but)
    print("  everything is healthy" + ", but Grafana, whose image is not here" * bool(but))


def configs_are_accepted() -> None:
    """Have each program look at what it reads; `config` refuses development's values."""
    print("what the programs read")
    once = ("run", "--rm", "--no-deps", "-T")
    rendered = "/config/prometheus/prometheus.yml", "/config/alertmanager/alertmanager.yml"
    compose("exec", "-T", "prometheus", "promtool", "check", "config", rendered[0])
    compose("exec", "-T", "alertmanager", "amtool", "check-config", rendered[1])
    compose(*once, "loki", "-config.file=/etc/loki/loki.yml", "-verify-config")
    compose(*once, "collector", "validate", "--config=/etc/otelcol-contrib/config.yaml")
    print("  Prometheus, Alertmanager, Loki and the collector accept it")
    script = "DEBUG=False python /alerts/render.py /tmp/new 2>&1 && echo taken"
    said = compose(*once, "config", "sh", "-c", f"{script} || true")
    check(
        "with DEBUG off, development's passwords are refused",
        "GRAFANA_PASSWORD" in said and "POSTGRES_PASSWORD" in said and "taken" not in said,
    )


def series(expr: str) -> list[dict[str, object]]:
    """Return what Prometheus answers now."""
    answer = requests.get(f"{PROMETHEUS}/api/v1/query", params={"query": expr}, timeout=10).json()
    return list(answer["data"]["result"])


def value(expr: str) -> float:
    """Return the one number that Prometheus answers; 0 where there is none."""
    found = series(expr)
    return float(found[0]["value"][1]) if found else 0.0  # type: ignore[index]


def targets_are_up() -> None:
    """Wait until Prometheus reaches everything that it watches."""
    down = "up == 0" if grafana_is_here() else 'up{job!="grafana"} == 0'
    wait_for("every target is up", lambda: series("up") and not series(down))
    # A container that was there before compose's down is known for five minutes more.
    jobs = sorted({str(one["metric"]["job"]) for one in series("up")})  # type: ignore[index]
    expected = ["alertmanager", "collector", "gateway", "grafana", "loki", "postgres"]
    check(f"targets: {', '.join(jobs)}", jobs == [*expected, "prometheus", "web", "worker"])


def orders_become_series() -> None:
    """Sell, and see it in Prometheus."""
    print("orders through the page, and what Prometheus knows of them")
    targets_are_up()
    alive = "and on (job, instance) time() - timestamp(up) < 20"
    confirmed = f'sum(retail_orders_total{{outcome="confirmed"}} {alive})'
    before, shopper = value(confirmed), customer()
    for _ in range(5):
        check("an order is confirmed", "Thank you" in order(shopper).text)
    order(shopper, card="tok_declined")
    wait_for("five orders more in Prometheus", lambda: value(confirmed) == before + 5)
    print(f"  Prometheus counts {before + 5:.0f} confirmed orders, five more than before")


def told() -> list[dict[str, object]]:
    """Return what Alertmanager holds of the breaker's alert."""
    url = f"{ALERTMANAGER}/api/v2/alerts"
    return list(requests.get(url, params={"filter": f'alertname="{BREAKER}"'}, timeout=10).json())


def staff() -> Shopper:
    """Return somebody who may see the shop's own page of alerts."""
    manage("create_admin")
    someone = Shopper(WEB)
    page = someone.get("/accounts/login/")
    someone.submit(page, "/accounts/login/", username="admin", password="admin123")
    return someone


def outage() -> Shopper:
    """Break the gateway until the breaker's alert stands on the shop's page; then mend it."""
    print("an outage at the gateway")
    someone, shopper = staff(), customer()
    knobs(off=True)

    def opened() -> bool:
        order(shopper)
        return value('max(retail_circuit_breaker_state{state="open"})') == 1

    began = time.monotonic()
    wait_for("the breaker opens", opened)
    wait_for(f"{BREAKER} in Alertmanager", told)
    print(f"  {BREAKER} is in Alertmanager after {time.monotonic() - began:.0f} s")
    shown = f"<h3>{BREAKER}</h3>"
    wait_for("the alert on the page", lambda: shown in someone.get("/metrics/alerts/").text)
    print(f"  on /metrics/alerts/ after {time.monotonic() - began:.0f} s")
    knobs()
    wait_for("payments are taken again", lambda: "Thank you" in order(shopper).text)
    return someone


def outage_ended(someone: Shopper) -> None:
    """Wait for the alert's end, on the shop's page too."""
    print("after the outage")
    wait_for(f"{BREAKER} ends in Alertmanager", lambda: not told(), OUTAGE_ENDS)

    def resolved() -> bool:
        page = someone.get("/metrics/alerts/").text
        return f"<h3>{BREAKER}</h3>" not in page and BREAKER in page

    wait_for("the page shows it as resolved", resolved, OUTAGE_ENDS)
    print("  the page shows it as resolved")


def sells_without(service: str) -> None:
    """Stop one of the watchers, and sell as if nothing were."""
    compose("stop", service)
    shopper, sold, until = customer(), 0, time.monotonic() + WITHOUT
    while time.monotonic() < until:
        page = order(shopper, f"without-{secrets.token_hex(6)}")
        if "Thank you" not in page.text:
            sys.exit(f"NOT SO: an order without {service}: {page.status_code}")
        sold += 1
    compose("start", service)
    check(f"{sold} orders without {service}, and not one failed", sold)


def grafana() -> None:
    """Ask Grafana for its data sources and dashboards."""
    if not grafana_is_here():
        print("  !!! GRAFANA WAS NOT TRIED: what runs in its place is not its image !!!")
        return
    session = requests.Session()
    session.auth = ("admin", "admin")
    for uid in ("prometheus", "loki"):
        health = session.get(f"{GRAFANA}/api/datasources/uid/{uid}/health", timeout=20).json()
        check(f"Grafana's source {uid} is healthy", health["status"] == "OK")
    found = session.get(f"{GRAFANA}/api/search?type=dash-db", timeout=20).json()
    check(f"Grafana has {len(found)} dashboards", len(found) == len(dashboards()))


def dashboards() -> list[str]:
    """Return the uids of the dashboards in the repository."""
    files = (ROOT / "grafana" / "dashboards").glob("*.json")
    return [json.loads(file.read_text(encoding="utf-8"))["uid"] for file in files]


def everything() -> None:
    """Try the whole watch; what takes time happens while something else is tried."""
    configs_are_accepted()
    restock()
    orders_become_series()
    found_by_request_id()
    someone = outage()
    away_for_two_minutes()
    outage_ended(someone)
    # After that: an Alertmanager that was away forgets what it has to tell the end of.
    print("without those who watch")
    sells_without("prometheus")
    sells_without("alertmanager")
    targets_are_up()
    print("what the dashboards ask")
    panels_have_data()
    names_are_known(write="--write-series" in sys.argv)
    grafana()

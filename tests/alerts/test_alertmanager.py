"""Who hears of which alert, and what is silenced by what, in a real Alertmanager."""

from __future__ import annotations

import json
import subprocess
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import requests

from alerts import build, render
from tests.alerts.support import run
from tests.alerts.test_render import PEOPLE
from tests.running.support import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Labels = dict[str, str]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    render.write(render.rendered(render.read({**PEOPLE, "ALERTS_TOKEN": "tell-me"})), folder)
    return folder / "alertmanager/alertmanager.yml"


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("severity=critical alertname=RetailOversold service=shop", "critical"),
        ("severity=warning alertname=RetailStockConflict service=shop", "warning"),
        ("severity=ticket alertname=RetailTelemetryFailing service=watch", "ticket"),
        ("severity=critical alertname=RetailErrorRateHigh origin=grafana", "critical"),
        ("severity=none alertname=Watchdog service=watch", "shop"),
        ("severity=critical alertname=Watchdog", "shop"),
        ("alertname=DatasourceNoData", "shop"),
    ],
)
def test_an_alert_goes_to(amtool: str, config: Path, labels: str, receiver: str) -> None:
    done = run(
        amtool, "config", "routes", "test", f"--config.file={config}",
        f"--verify.receivers={receiver}", *labels.split(),
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, receiver), done.stderr


def test_each_alert_has_a_receiver_of_its_severity(amtool: str, config: Path) -> None:
    assert {alert.severity for alert in build.alerts()} == {"critical", "warning", "ticket", "none"}
    assert [alert.name for alert in build.alerts() if alert.severity == "none"] == ["Watchdog"]


class Shop(BaseHTTPRequestHandler):
    """The shop's webhook, as far as Alertmanager can tell."""

    heard: list[tuple[str, str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.heard.append((self.path, self.headers["Authorization"], body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


class Alertmanager:
    """A real one, with the rendered configuration and a webhook of ours."""

    def __init__(self, url: str, heard: list[tuple[str, str, Any]]) -> None:
        self.url = url
        self.heard = heard

    def fire(self, *alerts: Labels) -> None:
        body = [{"labels": labels, "annotations": {"summary": "x"}} for labels in alerts]
        requests.post(f"{self.url}/api/v2/alerts", json=body, timeout=60).raise_for_status()

    def firing(self) -> dict[str, bool]:
        """Return of each alert that fires, by its label values, whether another silences it."""
        rows = requests.get(f"{self.url}/api/v2/alerts", timeout=60).json()
        return {key(row["labels"]): bool(row["status"]["inhibitedBy"]) for row in rows}

    def silenced(self, alerts: list[Labels]) -> dict[str, bool]:
        """Return of each of these alerts whether another silences it; then forget them all."""
        self.fire(*alerts)
        # It looks at alerts one after the other, in its own time: when the last one is silenced, it
        # has made up its mind about all.
        worse = alert("Last", "critical", job=uuid.uuid4().hex)
        last = [worse, {**worse, "severity": "warning"}]
        self.fire(*last)
        wait_until(lambda: self.firing()[key(last[1])], "Alertmanager to have seen the last alert")
        result = self.firing()
        over = [{"labels": one, "endsAt": "2020-01-01T00:00:00Z"} for one in (*alerts, *last)]
        requests.post(f"{self.url}/api/v2/alerts", json=over, timeout=60).raise_for_status()
        return {name: silent for name, silent in result.items() if not name.startswith("Last")}


def key(labels: Labels) -> str:
    return " ".join(value for _, value in sorted(labels.items()))


@pytest.fixture(scope="module")
def running(
    alertmanager: str, config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alertmanager]:
    handler = type("Heard", (Shop,), {"heard": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = tmp_path_factory.mktemp("alertmanager")
    text = config.read_text(encoding="utf-8")
    text = text.replace("http://web:8000", f"http://127.0.0.1:{server.server_port}")
    # People are not to be written to, and this one's files are here.
    text = text.split("    email_configs:")[0] + "  - name: warning\n  - name: ticket\n"
    text = text.replace("/config/alertmanager", str(config.parent))
    (folder / "alertmanager.yml").write_text(text, encoding="utf-8")
    port = free_port()
    process = subprocess.Popen(
        [alertmanager, "--config.file=alertmanager.yml", "--cluster.listen-address=",
         f"--web.listen-address=127.0.0.1:{port}", "--storage.path=data"],
        cwd=folder, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(url), "Alertmanager to answer")
        yield Alertmanager(url, handler.heard)  # type: ignore[attr-defined] # made three lines up
    finally:
        process.terminate()
        process.wait(timeout=60)
        server.shutdown()
        server.server_close()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=5).ok
    except requests.RequestException:
        return False


def alert(name: str, severity: str, **labels: str) -> Labels:
    return {"alertname": name, "severity": severity, **labels}


ERRORS = alert("RetailErrorRateHigh", "critical", service="shop")
SUCCESS = alert("RetailPaymentSuccessLow", "critical", service="payments")
BREAKER = alert("RetailCircuitBreakerOpen", "warning", breaker="payments", service="payments")
BREAKER_LONG = {**BREAKER, "severity": "critical"}
WEB = alert("RetailTargetDown", "critical", job="web", service="watch")
WEB_ONE = alert("RetailTargetDown", "warning", job="web", instance="a", service="watch")
WORKER = alert("RetailTargetDown", "critical", job="worker", service="watch")
LOKI = alert("RetailTargetDown", "warning", job="loki", instance="loki", service="watch")
STALE = alert("RetailAuditStale", "warning", invariant="x", service="watch")
OVERSOLD = alert("RetailOversold", "critical", service="shop")


@pytest.mark.parametrize(
    ("firing", "silenced"),
    [
        ([BREAKER, SUCCESS, ERRORS], [SUCCESS]),
        ([BREAKER, BREAKER_LONG], [BREAKER]),
        ([WEB, WEB_ONE, LOKI, ERRORS, SUCCESS, OVERSOLD], [WEB_ONE, ERRORS, SUCCESS]),
        # One process of several is down: the others' shares are worth hearing of.
        ([WEB_ONE, ERRORS, STALE], []),
        ([WORKER, STALE, ERRORS], [STALE]),
        ([ERRORS, {**ERRORS, "origin": "grafana"}], [{**ERRORS, "origin": "grafana"}]),
        ([{**ERRORS, "origin": "grafana"}, SUCCESS], []),
        # Grafana's critical one must not silence Prometheus's warning, which silences it.
        ([BREAKER, {**BREAKER_LONG, "origin": "grafana"}], [{**BREAKER_LONG, "origin": "grafana"}]),
        ([alert("Watchdog", "none"), alert("Watchdog", "none", origin="grafana")], []),
    ],
)
def test_a_firing_alert_silences(
    running: Alertmanager, firing: list[Labels], silenced: list[Labels]
) -> None:
    assert running.silenced(firing) == {key(one): one in silenced for one in firing}


def test_the_shop_hears_of_it_with_its_token(running: Alertmanager) -> None:
    running.fire(alert("Watchdog", "none", service="here"))

    def heard() -> list[tuple[str, str, Any]]:
        return [one for one in running.heard if one[2]["groupLabels"].get("service") == "here"]

    wait_until(heard, "Alertmanager's word")
    path, authorization, body = heard()[0]
    assert (path, authorization) == ("/metrics/alerts/", "Bearer tell-me")
    assert (body["receiver"], body["status"]) == ("shop", "firing")
    assert body["groupLabels"] == {"alertname": "Watchdog", "service": "here"}
    assert [one["annotations"] for one in body["alerts"]] == [{"summary": "x"}]

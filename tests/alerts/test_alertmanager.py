"""Routing and inhibition of alerts, in a real Alertmanager."""

from __future__ import annotations

import json
import subprocess
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

from alerts import build, render
from tests.alerts.support import run
from tests.alerts.test_render import CHANNELS
from tests.running.support import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Labels = dict[str, str]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    render.write(render.rendered(render.read({**CHANNELS, "ALERTS_TOKEN": "notify-me"})), folder)
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
def test_an_alert_is_routed_to(amtool: str, config: Path, labels: str, receiver: str) -> None:
    done = run(
        amtool, "config", "routes", "test", f"--config.file={config}",
        f"--verify.receivers={receiver}", *labels.split(),
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, receiver), done.stderr


def test_each_alert_has_a_receiver_of_its_severity() -> None:
    assert {alert.severity for alert in build.alerts()} == {"critical", "warning", "ticket", "none"}
    assert [alert.name for alert in build.alerts() if alert.severity == "none"] == ["Watchdog"]


class Webhook(BaseHTTPRequestHandler):
    """A stand-in for the shop's webhook. It keeps path, authorization and body of each request."""

    received: list[tuple[str, str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.received.append((self.path, self.headers["Authorization"], body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log nothing."""


class Alertmanager:
    """A running Alertmanager with the rendered configuration and the test's webhook."""

    def __init__(self, url: str, received: list[tuple[str, str, Any]]) -> None:
        self.url = url
        self.received = received

    def fire(self, *alerts: Labels) -> None:
        body = [{"labels": labels, "annotations": {"summary": "x"}} for labels in alerts]
        requests.post(f"{self.url}/api/v2/alerts", json=body, timeout=60).raise_for_status()

    def firing(self) -> dict[str, bool]:
        """Return whether each firing alert is inhibited, by its label values."""
        rows = requests.get(f"{self.url}/api/v2/alerts", timeout=60).json()
        return {key(row["labels"]): bool(row["status"]["inhibitedBy"]) for row in rows}

    def inhibited(self, alerts: list[Labels]) -> dict[str, bool]:
        """Fire these alerts, return whether each one is inhibited, and resolve them."""
        self.fire(*alerts)
        # Alertmanager processes alerts in sequence. Once it inhibits a last pair, it has processed
        # all alerts before.
        worse = alert("Last", "critical", job=uuid.uuid4().hex)
        last = [worse, {**worse, "severity": "warning"}]
        self.fire(*last)
        wait_until(lambda: self.firing()[key(last[1])], "Alertmanager to process the last alert")
        result = self.firing()
        ended = [
            {"labels": labels, "endsAt": "2020-01-01T00:00:00Z"} for labels in (*alerts, *last)
        ]
        requests.post(f"{self.url}/api/v2/alerts", json=ended, timeout=60).raise_for_status()
        return {name: state for name, state in result.items() if not name.startswith("Last")}


def key(labels: Labels) -> str:
    return " ".join(value for _, value in sorted(labels.items()))


@pytest.fixture(scope="module")
def running(
    alertmanager: str, config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alertmanager]:
    handler = type("RecordingWebhook", (Webhook,), {"received": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = tmp_path_factory.mktemp("alertmanager")
    text = config.read_text(encoding="utf-8")
    text = text.replace("http://web:8000", f"http://127.0.0.1:{server.server_port}")
    text = text.replace("/config/alertmanager", str(config.parent))
    settings = yaml.safe_load(text)
    # The test sends no e-mail and posts to no other service.
    for receiver in settings["receivers"]:
        for channel in ("email", "slack", "pagerduty"):
            receiver.pop(f"{channel}_configs", None)
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    port = free_port()
    process = subprocess.Popen(
        [alertmanager, "--config.file=alertmanager.yml", "--cluster.listen-address=",
         f"--web.listen-address=127.0.0.1:{port}", "--storage.path=data"],
        cwd=folder, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _is_ready(url), "Alertmanager to be ready")
        yield Alertmanager(url, handler.received)  # type: ignore[attr-defined] # set in type()
    finally:
        process.terminate()
        process.wait(timeout=60)
        server.shutdown()
        server.server_close()


def _is_ready(url: str) -> bool:
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
    ("firing", "inhibited"),
    [
        ([BREAKER, SUCCESS, ERRORS], [SUCCESS]),
        ([BREAKER, BREAKER_LONG], [BREAKER]),
        ([WEB, WEB_ONE, LOKI, ERRORS, SUCCESS, OVERSOLD], [WEB_ONE, ERRORS, SUCCESS]),
        # One process of several is down: the ratios of the others still matter.
        ([WEB_ONE, ERRORS, STALE], []),
        ([WORKER, STALE, ERRORS], [STALE]),
        ([ERRORS, {**ERRORS, "origin": "grafana"}], [{**ERRORS, "origin": "grafana"}]),
        ([{**ERRORS, "origin": "grafana"}, SUCCESS], []),
        # Grafana's critical alert must not inhibit the warning of Prometheus that inhibits it.
        ([BREAKER, {**BREAKER_LONG, "origin": "grafana"}], [{**BREAKER_LONG, "origin": "grafana"}]),
        ([alert("Watchdog", "none"), alert("Watchdog", "none", origin="grafana")], []),
    ],
)
def test_a_firing_alert_inhibits(
    running: Alertmanager, firing: list[Labels], inhibited: list[Labels]
) -> None:
    assert running.inhibited(firing) == {key(labels): labels in inhibited for labels in firing}


def test_the_shop_receives_an_alert_with_its_token(running: Alertmanager) -> None:
    running.fire(alert("Watchdog", "none", service="here"))

    def received() -> list[tuple[str, str, Any]]:
        return [
            request
            for request in running.received
            if request[2]["groupLabels"].get("service") == "here"
        ]

    wait_until(received, "a notification")
    path, authorization, body = received()[0]
    assert (path, authorization) == ("/metrics/alerts/", "Bearer notify-me")
    assert (body["receiver"], body["status"]) == ("shop", "firing")
    assert body["groupLabels"] == {"alertname": "Watchdog", "service": "here"}
    assert [notified["annotations"] for notified in body["alerts"]] == [{"summary": "x"}]

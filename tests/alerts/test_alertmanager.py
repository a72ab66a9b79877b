"""Routing of alerts, and their delivery by a real Alertmanager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alerts import build
from tests.alerts.support import alert, run
from tests.running.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.alerts.running import Alertmanager


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("severity=critical alertname=RetailOversold service=shop", "critical"),
        ("severity=warning alertname=RetailStockConflict service=shop", "warning"),
        ("severity=ticket alertname=RetailTelemetryFailing service=watch", "ticket"),
        ("severity=critical alertname=RetailErrorRateHigh origin=grafana", "critical"),
        ("severity=none alertname=Watchdog service=watch", "watchdog,shop"),
        ("severity=critical alertname=Watchdog", "watchdog,shop"),
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


def test_the_shop_receives_an_alert_with_its_token(running: Alertmanager) -> None:
    running.fire(alert("Watchdog", "none", service="here"))

    def received() -> list[tuple[str, str | None, Any]]:
        return [
            request
            for request in running.received
            if request[2]["receiver"] == "shop"
            and request[2]["groupLabels"].get("service") == "here"
        ]

    wait_until(received, "a notification")
    path, authorization, body = received()[0]
    assert (path, authorization) == ("/metrics/alerts/", "Bearer notify-me")
    assert (body["receiver"], body["status"]) == ("shop", "firing")
    assert body["groupLabels"] == {"alertname": "Watchdog", "service": "here"}
    assert [notified["annotations"] for notified in body["alerts"]] == [{"summary": "x"}]


def test_the_watchdog_also_pings_an_address_outside(running: Alertmanager) -> None:
    running.fire(alert("Watchdog", "none", service="watch"))

    def pings() -> list[Any]:
        return [body for path, _, body in running.received if path == "/0a1b2c3d-4e5f"]

    wait_until(pings, "a ping")
    body = pings()[0]
    assert (body["receiver"], body["status"]) == ("watchdog", "firing")
    assert {ping["commonLabels"]["alertname"] for ping in pings()} == {"Watchdog"}
    # Its token is for the shop only.
    assert {token for path, token, _ in running.received if path == "/0a1b2c3d-4e5f"} == {None}

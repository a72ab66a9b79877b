"""A running Alertmanager with the rendered configuration, and a webhook for its notifications."""

from __future__ import annotations

import json
import subprocess
import threading
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import requests
import yaml

from tests.alerts.support import Labels, alert, key
from tests.running.support import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Webhook(BaseHTTPRequestHandler):
    """A stand-in for the shop's webhook. It keeps path, authorization and body of each request."""

    received: list[tuple[str, str | None, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.received.append((self.path, self.headers["Authorization"], body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log nothing."""


class Alertmanager:
    """A running Alertmanager with the rendered configuration and the test's webhook."""

    def __init__(self, url: str, received: list[tuple[str, str | None, Any]]) -> None:
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


@contextmanager
def running_alertmanager(program: str, config: Path, folder: Path) -> Iterator[Alertmanager]:
    """Run Alertmanager. It notifies only the test's webhook."""
    handler = type("RecordingWebhook", (Webhook,), {"received": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    text = config.read_text(encoding="utf-8")
    for address in ("http://web:8000", "https://ping.example.com"):
        text = text.replace(address, f"http://127.0.0.1:{server.server_port}")
    text = text.replace("/config/alertmanager", str(config.parent))
    settings = yaml.safe_load(text)
    # The test sends no e-mail and posts to no other service.
    for receiver in settings["receivers"]:
        for channel in ("email", "slack", "pagerduty"):
            receiver.pop(f"{channel}_configs", None)
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    port = free_port()
    process = subprocess.Popen(
        [program, "--config.file=alertmanager.yml", "--cluster.listen-address=",
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

"""A running shop with its database, gateway, Prometheus, Alertmanager and a receiver of alerts."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import requests
import yaml

from alerts import render
from tests.running.support import RunningShop, free_port, wait_until
from tools.with_postgres import Postgres, postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKENS = {"DEBUG": "True", "METRICS_TOKEN": "scrape-me", "ALERTS_TOKEN": "notify-me"}
SETTINGS = {
    **TOKENS,
    "DEBUG": "True",
    "GATEWAY_READ_TIMEOUT": "2",
    "BREAKER_RESET_SECONDS": "5",
    "ADMIN_PASSWORD": "",
}
DURATION = re.compile(r"(?<=\[)[\dsmhd]+(?=[\]:])|(?<=:)[\dsmhd]+(?=\])|(?<=offset )[\dsmhd]+")
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def faster(duration: str, speed: float) -> str:
    """Return a Prometheus duration divided by `speed`."""
    seconds = sum(int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)([smhd])", duration))
    return f"{max(round(1000 * seconds / speed), 1)}ms"


def faster_rules(text: str, speed: float) -> str:
    """Return a rule file whose windows and times are all divided by `speed`."""
    content = yaml.safe_load(text)
    for group in content["groups"]:
        group["interval"] = faster(group["interval"], speed)
        for rule in group["rules"]:
            rule["expr"] = DURATION.sub(lambda found: faster(found[0], speed), rule["expr"])
            for name in ("for", "keep_firing_for"):
                if name in rule:
                    rule[name] = faster(rule[name], speed)
    return yaml.safe_dump(content, sort_keys=False)


@dataclass(frozen=True)
class Notification:
    """An alert that reached the receiver, and when (seconds of the monotonic clock)."""

    at: float
    name: str
    severity: str
    status: str


class Receiver:
    """The address outside the shop that Alertmanager notifies."""

    def __init__(self) -> None:
        self.received: list[Notification] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                now = time.monotonic()
                receiver.received.extend(
                    Notification(
                        now, a["labels"]["alertname"], a["labels"]["severity"], a["status"]
                    )
                    for a in body["alerts"]
                )
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@dataclass
class Stage:
    """Everything that runs while a fault is staged."""

    folder: Path
    speed: float
    database: Postgres
    shop: RunningShop
    receiver: Receiver
    prometheus_port: int = field(default_factory=free_port)
    alertmanager_port: int = field(default_factory=free_port)
    blackbox_port: int = field(default_factory=free_port)
    programs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def configure(self) -> None:
        """Write the rendered configuration, with this machine's addresses and a faster clock."""
        files = render.rendered(render.read({**TOKENS, "SHOP_URL": self.shop.url}))
        render.write(files, self.folder / "config")
        for path in (self.folder / "config/prometheus/rules").glob("*.yml"):
            path.write_text(faster_rules(path.read_text("utf-8"), self.speed), "utf-8")
        self._configure_prometheus()
        self._configure_alertmanager()

    def _configure_prometheus(self) -> None:
        path = self.folder / "config/prometheus/prometheus.yml"
        config = yaml.safe_load(path.read_text("utf-8"))
        every = faster("15s", self.speed)
        config["global"] = {"scrape_interval": every, "evaluation_interval": every}
        targets = {
            "web": self.shop.port,
            "worker": self.shop.worker_port,
            "gateway": int(self.shop.gateway.url.rpartition(":")[2]),
            "prometheus": self.prometheus_port,
            "alertmanager": self.alertmanager_port,
        }
        probes = next(job for job in config["scrape_configs"] if job["job_name"] == "blackbox")
        config["scrape_configs"] = [
            self._probes(probes),
            *(
                {
                    **{key: job[key] for key in ("job_name", "authorization") if key in job},
                    "scrape_interval": faster(job.get("scrape_interval", "15s"), self.speed),
                    "static_configs": [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}],
                }
                for job in config["scrape_configs"]
                if job["job_name"] in targets
            ),
        ]
        manager = f"127.0.0.1:{self.alertmanager_port}"
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [manager]}]}]}
        path.write_text(yaml.safe_dump(config), "utf-8")

    def _probes(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the job of the blackbox exporter with the addresses of this machine."""
        text = yaml.safe_dump({**job, "scrape_interval": faster("15s", self.speed)})
        for name, address in {
            "web:8000": f"127.0.0.1:{self.shop.port}",
            "proxy:8081": f"127.0.0.1:{self.shop.port}",  # there is none here
            "worker:8002": f"127.0.0.1:{self.shop.worker_port}",
            "blackbox:9115": f"127.0.0.1:{self.blackbox_port}",
        }.items():
            text = text.replace(name, address)
        rewritten: dict[str, Any] = yaml.safe_load(text)
        asked = [target for group in rewritten["static_configs"] for target in group["targets"]]
        assert all("127.0.0.1:" in target for target in asked), asked
        return rewritten

    def _configure_alertmanager(self) -> None:
        path = self.folder / "config/alertmanager/alertmanager.yml"
        text = path.read_text("utf-8").replace("http://web:8000", self.shop.url)
        config = yaml.safe_load(text.replace("/config/alertmanager", str(path.parent)))
        for route in (config["route"], *config["route"]["routes"]):
            for name in ("group_wait", "group_interval"):
                if name in route:
                    route[name] = faster(route[name], self.speed)
        for receiver in config["receivers"]:
            hooks = receiver.get("webhook_configs", [])
            receiver["webhook_configs"] = [*hooks, {"url": self.receiver.url}]
        path.write_text(yaml.safe_dump(config), "utf-8")

    def start(self) -> None:
        """Start Prometheus and Alertmanager."""
        for name, arguments in {
            "prometheus": [
                "--config.file=config/prometheus/prometheus.yml",
                f"--web.listen-address=127.0.0.1:{self.prometheus_port}",
                "--storage.tsdb.path=prometheus",
            ],
            "alertmanager": [
                "--config.file=config/alertmanager/alertmanager.yml",
                f"--web.listen-address=127.0.0.1:{self.alertmanager_port}",
                "--storage.path=alertmanager",
                "--cluster.listen-address=",
            ],
            "blackbox-exporter": [
                "--config.file=config/blackbox/blackbox.yml",
                f"--web.listen-address=127.0.0.1:{self.blackbox_port}",
            ],
        }.items():
            program = found(name)
            assert program, f"{name} is not installed"
            with (self.folder / f"{name}.log").open("wb") as log:
                self.programs[name] = subprocess.Popen(
                    [program, *arguments], cwd=self.folder, stdout=log, stderr=log
                )
        for address in (
            f"http://127.0.0.1:{self.prometheus_port}/-/ready",
            f"http://127.0.0.1:{self.alertmanager_port}/-/ready",
            f"http://127.0.0.1:{self.blackbox_port}/-/healthy",
        ):
            wait_until(lambda a=address: _answers(a), address)  # type: ignore[misc]

    def firing(self) -> set[str]:
        """Return the names of the alerts that Prometheus fires, without the heartbeat."""
        url = f"http://127.0.0.1:{self.prometheus_port}/api/v1/alerts"
        alerts = requests.get(url, timeout=30).json()["data"]["alerts"]
        firing = {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}
        return firing - {"Watchdog"}

    def value(self, query: str) -> list[dict[str, Any]]:
        """Return the result of a PromQL query."""
        url = f"http://127.0.0.1:{self.prometheus_port}/api/v1/query"
        rows: list[dict[str, Any]] = requests.get(url, params={"query": query}, timeout=30).json()[
            "data"
        ]["result"]
        return rows

    def close(self) -> None:
        for program in self.programs.values():
            program.kill()
            program.wait()
        self.shop.close()
        self.receiver.close()


def found(name: str) -> str | None:
    """Return the path of a program; Debian has prefixed some with `prometheus-`."""
    return shutil.which(f"prometheus-{name}") or shutil.which(name)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


@contextlib.contextmanager
def open_stage(folder: Path, speed: float) -> Iterator[Stage]:
    """Start everything, and stop it at the end."""
    with postgres(fsync=False) as database:
        settings = {**SETTINGS, "DATABASE_URL": database.url}
        stage = Stage(folder, speed, database, RunningShop(folder, settings), Receiver())
        try:
            stage.configure()
            stage.shop.start("web", "worker")
            stage.start()
            yield stage
        finally:
            stage.close()

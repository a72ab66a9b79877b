"""A real Prometheus, and the colours in which Grafana paints a panel's values."""

from __future__ import annotations

import json
import math
import re
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests

from alerts import render
from tests.running.support import PATIENCE, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# What Grafana would fill in.
VARIABLES = {"__rate_interval_ms": "60000", "__rate_interval": "1m", "__range": "10m", "view": ".+"}


@dataclass
class Prometheus:
    """A Prometheus that scrapes and evaluates every second, and alerts without delay.

    `targets` maps jobs to addresses. Without rules, it has none of the shop's.
    """

    program: str
    folder: Path
    targets: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    rules: bool = True

    def __post_init__(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._write(port)
        with (self.folder / "prometheus.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self.program,
                    f"--config.file={self.folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(self._ready, "Prometheus to be ready")

    def _write(self, port: int) -> None:
        jobs = {**self.targets, "prometheus": f"127.0.0.1:{port}"}
        scrapes: list[dict[str, Any]] = [
            {"job_name": job, "static_configs": [{"targets": [address]}]}
            for job, address in jobs.items()
        ]
        for scrape in scrapes:
            if self.token and scrape["job_name"] in {"web", "worker"}:
                scrape["authorization"] = {"credentials": self.token}
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules/*.yml"],
            "scrape_configs": scrapes,
        }
        (self.folder / "prometheus.yml").write_text(json.dumps(config))
        (self.folder / "rules").mkdir()
        for path, text in render.rendered(render.read({"DEBUG": "True"})).items():
            if self.rules and path.startswith("prometheus/rules/"):
                at_once = re.sub(r"(interval|for): \w+$", r"\1: 1s", text, flags=re.MULTILINE)
                (self.folder / path.removeprefix("prometheus/")).write_text(at_once)

    def _ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=5).ok
        except requests.ConnectionError:
            return False

    def close(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)

    def values(self, expr: str) -> list[dict[str, Any]]:
        """Return the result of an instant query, with Grafana's variables filled in."""
        return self._ask("query", expr, {"time": time.time()})

    def lines(self, expr: str, seconds: float = 600) -> list[dict[str, Any]]:
        """Return the result of a query over the last seconds."""
        now = time.time()
        return self._ask("query_range", expr, {"start": now - seconds, "end": now, "step": 1})

    def _ask(self, path: str, expr: str, times: dict[str, float]) -> list[dict[str, Any]]:
        for name, value in VARIABLES.items():
            expr = expr.replace(f"${name}", value)
        fields = {"query": expr, **times}
        answer = requests.post(f"{self.url}/api/v1/{path}", data=fields, timeout=30).json()
        assert answer["status"] == "success", (expr, answer)
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


def painted(panel: dict[str, Any], prometheus: Prometheus) -> Iterator[tuple[str, str]]:
    """Yield the text and colour of each value of a stat panel, as Grafana shows them."""
    settings = panel["fieldConfig"]["defaults"]
    for target in panel["targets"]:
        results = prometheus.values(target["expr"])
        yield from (shown(settings, float(result["value"][1])) for result in results)
        if not results:
            yield shown(settings, math.nan)


def shown(settings: dict[str, Any], value: float) -> tuple[str, str]:
    """Return a value's text and colour: of its mapping, or the colour of its threshold."""
    text, colour = ("" if math.isnan(value) else f"{value:g}"), ""
    for entry in settings.get("mappings", ()):
        result = _mapped(entry, value)
        if result:
            return result["text"], result["color"]
    for step in settings["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    return text, colour


def _mapped(entry: dict[str, Any], value: float) -> dict[str, str] | None:
    options = entry["options"]
    if entry["type"] == "special":
        return dict(options["result"]) if math.isnan(value) else None
    if entry["type"] == "range":
        return dict(options["result"]) if options["from"] <= value <= options["to"] else None
    found: dict[str, str] | None = options.get(f"{value:g}")
    return found

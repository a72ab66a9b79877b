"""What a rule file is made of, and how it is written: Prometheus's form, which is Loki's too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# The development defaults; render.py puts an installation's own addresses in their places.
SHOP_URL = "http://localhost:8000"
GRAFANA_URL = "http://localhost:3000"
EVALUATED_EVERY = 15  # seconds
UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
HEADING = "# Written by alerts/build.py: change that, then run `make generate`.\n"


def span(seconds: int) -> str:
    """Return a time as PromQL and rule names write it: 300 is 5m."""
    unit = next(unit for unit, size in UNITS.items() if seconds % size == 0)
    return f"{seconds // UNITS[unit]}{unit}"


@dataclass(frozen=True)
class Recording:
    """An expression kept under a name of the form level:metric:operations."""

    record: str
    expr: str

    def lines(self) -> Iterable[str]:
        """Return it as lines of YAML."""
        yield f"      - record: {self.record}"
        yield from _text("expr", self.expr, 8)


@dataclass(frozen=True)
class Alert:
    """What somebody is told and when; `steps` must help while the shop itself is down.

    `dashboard` is a uid in Grafana, `logs` are variables of its dashboard of logs.
    """

    name: str
    expr: str
    severity: str
    service: str
    summary: str
    description: str
    steps: Sequence[str]
    dashboard: str
    logs: Sequence[tuple[str, str]]
    for_seconds: int = 0

    def annotations(self) -> Mapping[str, str]:
        """Return what is said with it."""
        numbered = (f"{number}. {step}" for number, step in enumerate(self.steps, 1))
        now = "from=now-1h&to=now"
        return {
            "summary": self.summary,
            "description": "\n".join((self.description, *numbered)),
            "runbook_url": f"{SHOP_URL}/metrics/runbooks/{self.name}/",
            "dashboard_url": f"{GRAFANA_URL}/d/{self.dashboard}?{now}",
            "logs_url": f"{GRAFANA_URL}/d/retail-logs?{now}{self._log_variables()}",
        }

    def _log_variables(self) -> str:
        # Templates ({{ $labels.job }}) are filled in by Prometheus.
        return "".join("&" + urlencode([one], safe="{} $", quote_via=quote) for one in self.logs)

    def lines(self) -> Iterable[str]:
        """Return it as lines of YAML."""
        yield f"      - alert: {self.name}"
        yield from _text("expr", self.expr, 8)
        if self.for_seconds:
            yield f"        for: {span(self.for_seconds)}"
        yield "        labels:"
        yield f"          severity: {self.severity}"
        yield f"          service: {self.service}"
        yield "        annotations:"
        for name, text in self.annotations().items():
            yield from _text(name, text, 10)


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other, every so many seconds."""

    name: str
    rules: Sequence[Recording | Alert]
    every: int = EVALUATED_EVERY


def _text(key: str, text: str, indent: int) -> Iterable[str]:
    """Return a key and its text, in quotes (JSON's are YAML's) or as lines of their own."""
    space = " " * indent
    if "\n" not in text and '"' not in text and "\\" not in text:
        return [f"{space}{key}: {json.dumps(text, ensure_ascii=False)}"]
    return [f"{space}{key}: |-", *(f"{space}  {line}".rstrip() for line in text.split("\n"))]


def rule_file(groups: Iterable[Group]) -> str:
    """Return the text of a rule file."""
    lines = ["groups:"]
    for group in groups:
        lines += [f"  - name: {group.name}", f"    interval: {span(group.every)}", "    rules:"]
        for rule in group.rules:
            lines += rule.lines()
    return HEADING + "\n".join(lines) + "\n"

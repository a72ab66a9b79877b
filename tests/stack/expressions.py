"""What dashboards, rules and runbooks ask, asked of the Prometheus and the Loki that run."""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any

import requests

from tests.contracts.queries import Query, all_queries, panels, uses
from tests.stack.lines import loki
from tests.stack.stack import PROMETHEUS, ROOT, check

if TYPE_CHECKING:
    from collections.abc import Iterator

SERIES = ROOT / "tests" / "contracts" / "foreign_series.txt"
# Grafana's variables: intervals, and "all" for those of the dashboards.
INTERVALS = {"__rate_interval": "5m", "__interval": "1m", "__range": "1h", "__auto": "1m"}
VARIABLE = re.compile(r"\$\{?(\w+)(?::\w+)?\}?")
FENCE = re.compile(r"^```logql\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Panels and annotations about what this test does not make happen.
NEVER_HAPPENED = {
    "annotation Sold out": "no flash sale is held here",
}


def filled(expr: str) -> str:
    """Return the expression as Grafana would send it."""
    expr = VARIABLE.sub(lambda found: INTERVALS.get(found[1], ".+"), expr)
    return expr.replace("$$", "$")


def answer(expr: str) -> dict[str, Any]:
    """Return what Prometheus knows of an expression in the last quarter of an hour."""
    now = time.time()
    asked = {"query": filled(expr), "start": now - 900, "end": now, "step": 15}
    found = requests.post(f"{PROMETHEUS}/api/v1/query_range", data=asked, timeout=20)
    return dict(found.json())


def panels_have_data() -> None:
    """Ask everything: it is understood, and what a dashboard asks is answered with data."""
    queries = all_queries()
    wrong, empty = [], []
    for one in queries:
        told = answer(one.expr)
        if told["status"] != "success":
            wrong.append(f"{one.where}: {told['error']}")
        elif one.where.startswith("dashboard") and not told["data"]["result"] and not exempt(one):
            empty.append(f"{one.where}: {one.expr}")
    check("\n".join([f"Prometheus understands {len(queries)} expressions", *wrong]), not wrong)
    check("\n".join(["every panel has data", *empty]), not empty)
    asked = list(logql())
    wrong = [f"{where}: {error}" for where, expr in asked if (error := refused(expr))]
    check("\n".join([f"Loki understands {len(asked)} expressions", *wrong]), not wrong)


def exempt(query: Query) -> bool:
    """Tell whether a query is about what has not happened."""
    return any(query.where.endswith(name) for name in NEVER_HAPPENED)


def logql() -> Iterator[tuple[str, str]]:
    """Yield every LogQL expression of dashboards and runbooks, and where it stands."""
    for path in sorted((ROOT / "grafana" / "dashboards").glob("*.json")):
        for panel in panels(json.loads(path.read_text(encoding="utf-8"))):
            for target in panel.get("targets", ()):
                if (target.get("datasource") or panel["datasource"])["uid"] == "loki":
                    yield f'{path.stem}, panel "{panel["title"]}"', target["expr"]
    for path in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
        for block in FENCE.findall(path.read_text(encoding="utf-8")):
            for expr in block.strip().splitlines():
                yield f"runbook {path.stem}", expr


def refused(expr: str) -> str:
    """Return why Loki does not understand an expression, or nothing."""
    try:
        loki("/loki/api/v1/query_range", query=filled(expr), limit=10)
    except subprocess.CalledProcessError as error:
        return f"{expr}: {error.stderr.strip()}"
    return ""


def names_are_known(*, write: bool) -> None:
    """Compare the series of other programs with the list that the contract test reads."""
    url = f"{PROMETHEUS}/api/v1/label/__name__/values"
    names = requests.get(url, timeout=10).json()["data"]
    running = {name for name in names if not name.startswith("retail_")} | {"ALERTS", "up"}
    if write:
        SERIES.write_text("".join(f"{name}\n" for name in sorted(running)), encoding="utf-8")
    listed = set(SERIES.read_text(encoding="utf-8").split())
    used = {name for query in all_queries() for name, _ in uses(query).series}
    gone = sorted((used & listed) - running)
    check(f"{len(used & listed)} series of other programs are used; not there: {gone}", not gone)

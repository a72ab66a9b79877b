"""Run the queries of dashboards, rules and runbooks on the running Prometheus and Loki."""

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
# Values for Grafana's interval variables. All other variables select everything.
INTERVALS = {"__rate_interval": "5m", "__rate_interval_ms": "300000", "__interval": "1m",
             "__range": "1h", "__auto": "1m"}  # fmt: skip
VARIABLE = re.compile(r"\$\{?(\w+)(?::\w+)?\}?")
FENCE = re.compile(r"^```logql\n(.*?)^```", re.MULTILINE | re.DOTALL)
RECORDED_WITHIN = 900  # seconds
# Panels and annotations for events that this test does not cause.
WITHOUT_DATA = {
    "annotation Sold out": "there is no flash sale",
}


def filled(expr: str) -> str:
    """Return the expression as Grafana would send it."""
    expr = VARIABLE.sub(lambda found: INTERVALS.get(found[1], ".+"), expr)
    return expr.replace("$$", "$")


def answer(expr: str) -> dict[str, Any]:
    """Return the response of Prometheus to a range query over the last 15 minutes."""
    now = time.time()
    params = {"query": filled(expr), "start": now - 900, "end": now, "step": 15}
    response = requests.post(f"{PROMETHEUS}/api/v1/query_range", data=params, timeout=20)
    return dict(response.json())


def panels_have_data() -> None:
    """Run every query: all are valid, and those of dashboards return data."""
    queries = all_queries()
    results = {query: answer(query.expr) for query in queries}
    errors = [f"{q.where}: {r['error']}" for q, r in results.items() if r["status"] != "success"]
    check("\n".join([f"Prometheus accepts {len(queries)} expressions", *errors]), not errors)
    empty = [q for q in queries if q.where.startswith("dashboard") and not exempt(q)]
    # Some rules are evaluated rarely, and read what others have recorded.
    until = time.monotonic() + RECORDED_WITHIN
    while empty := [query for query in empty if not answer(query.expr)["data"]["result"]]:
        if time.monotonic() > until:
            break
        time.sleep(5)
    still = [f"{query.where}: {query.expr}" for query in empty]
    check("\n".join(["every panel has data", *still]), not empty)
    log_queries = list(logql())
    errors = [f"{where}: {error}" for where, expr in log_queries if (error := error_of(expr))]
    check("\n".join([f"Loki accepts {len(log_queries)} expressions", *errors]), not errors)


def exempt(query: Query) -> bool:
    """Return whether this test does not produce the data of a query."""
    return any(query.where.endswith(name) for name in WITHOUT_DATA)


def logql() -> Iterator[tuple[str, str]]:
    """Yield every LogQL expression of dashboards and runbooks with its location."""
    for path in sorted((ROOT / "grafana" / "dashboards").glob("*.json")):
        for panel in panels(json.loads(path.read_text(encoding="utf-8"))):
            for target in panel.get("targets", ()):
                if (target.get("datasource") or panel["datasource"])["uid"] == "loki":
                    yield f'{path.stem}, panel "{panel["title"]}"', target["expr"]
    for path in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
        for block in FENCE.findall(path.read_text(encoding="utf-8")):
            for expr in block.strip().splitlines():
                yield f"runbook {path.stem}", expr


def error_of(expr: str) -> str:
    """Return why Loki rejects an expression, or an empty string."""
    try:
        loki("/loki/api/v1/query_range", query=filled(expr), limit=10)
    except subprocess.CalledProcessError as error:
        return f"{expr}: {error.stderr.strip()}"
    return ""


def names_are_known(*, write: bool) -> None:
    """Compare the series of third-party programs with the list that the contract test uses."""
    url = f"{PROMETHEUS}/api/v1/label/__name__/values"
    names = requests.get(url, timeout=10).json()["data"]
    running = {name for name in names if not name.startswith("retail_")} | {"ALERTS", "up"}
    if write:
        SERIES.write_text("".join(f"{name}\n" for name in sorted(running)), encoding="utf-8")
    listed = set(SERIES.read_text(encoding="utf-8").split())
    used = {name for query in all_queries() for name, _ in uses(query).series}
    missing = sorted((used & listed) - running)
    check(f"{len(used & listed)} third-party series are used; missing: {missing}", not missing)

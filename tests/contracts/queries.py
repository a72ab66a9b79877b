"""All PromQL expressions of the repository, and their series and labels."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
# Values that Grafana substitutes. Other variables may have any value.
_GRAFANA = {"__rate_interval": "5m", "__rate_interval_ms": "300000", "__interval": "1m",
            "__range": "1h", "__auto": "1m"}  # fmt: skip
_VARIABLE = re.compile(r"\$\{?(\w+)(?::\w+)?\}?")
ANY = "any value"
_FENCE = re.compile(r"^```promql\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Query:
    """An expression and its location, for messages."""

    where: str
    expr: str
    records: str = ""  # series name, for a recording rule


@dataclass
class Uses:
    """Series with their matchers, and labels used without a series."""

    series: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a dashboard's panels, including those in rows."""
    for panel in dashboard.get("panels", ()):
        yield panel
        yield from panels(panel)


def _of_dashboard(path: Path) -> Iterator[Query]:
    dashboard = json.loads(path.read_text())
    name = f"dashboard {dashboard['title']}"
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            if (target.get("datasource") or panel["datasource"])["uid"] == "prometheus":
                yield Query(f'{name}, panel "{panel["title"]}"', target["expr"])
    for annotation in dashboard.get("annotations", {}).get("list", ()):
        if annotation["datasource"]["uid"] == "prometheus":
            expr = annotation["target"]["expr"]
            yield Query(f"{name}, annotation {annotation['name']}", expr)
    for variable in dashboard.get("templating", {}).get("list", ()):
        if variable["type"] == "query" and variable["datasource"]["uid"] == "prometheus":
            definition = variable["query"]
            definition = definition["query"] if isinstance(definition, dict) else definition
            match = re.fullmatch(r"label_values\((.+),\s*(\w+)\)", definition)
            assert match, f"{name}, variable {variable['name']}: only label_values(series, label)"
            expr = f"count by ({match[2]}) ({match[1]})"
            yield Query(f"{name}, variable {variable['name']}", expr)


def _of_rules(path: Path) -> Iterator[Query]:
    for group in yaml.safe_load(path.read_text())["groups"]:
        for rule in group["rules"]:
            name = rule.get("alert") or rule["record"]
            yield Query(f"rule {name}", rule["expr"], rule.get("record", ""))


def _of_grafana_rules(path: Path) -> Iterator[Query]:
    for group in yaml.safe_load(path.read_text()).get("groups", ()):
        for rule in group["rules"]:
            for query in rule["data"]:
                if query.get("datasourceUid") == "prometheus":
                    yield Query(f"Grafana's rule {rule['title']}", query["model"]["expr"])


def all_queries() -> list[Query]:
    """Return every PromQL expression of dashboards, rules and runbooks."""
    queries: list[Query] = []
    for path in sorted((ROOT / "grafana" / "dashboards").glob("*.json")):
        queries += _of_dashboard(path)
    for path in sorted((ROOT / "alerts" / "rules").glob("*.yml")):
        queries += _of_rules(path)
    for path in sorted((ROOT / "grafana" / "provisioning" / "alerting").glob("*.y*ml")):
        queries += _of_grafana_rules(path)
    for path in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
        queries += [
            Query(f"runbook {path.stem}", expr.strip())
            for expr in _FENCE.findall(path.read_text(encoding="utf-8"))
        ]
    return queries


def parsed(query: Query) -> Any:
    """Return the expression's syntax tree. Raises ValueError if it is invalid."""
    expr = _VARIABLE.sub(lambda match: _GRAFANA.get(match[1], ANY), query.expr)
    return promql_parser.parse(expr.replace("$$", "$"))


def uses(query: Query) -> Uses:
    """Return the series and labels of a query."""
    used = Uses()
    _walk(parsed(query), used)
    return used


def _walk(node: Any, used: Uses) -> None:
    kind = type(node).__name__
    if kind == "VectorSelector":
        _selector(node, used)
    used.labels.update(_labels_of(getattr(node, "modifier", None)))
    for name in ("lhs", "rhs", "expr", "param", "vector_selector"):
        child = getattr(node, name, None)
        if child is not None and type(child).__module__.startswith(("promql_parser", "builtins")):
            _walk(child, used)
    if kind == "Call":
        for child in node.args:
            _walk(child, used)


def _selector(node: Any, used: Uses) -> None:
    matchers = {}
    name = node.name
    for matcher in node.matchers.matchers:
        if matcher.name == "__name__":
            name = matcher.value
            continue
        matchers[matcher.name] = _values(matcher)
    used.series.append((name, matchers))


def _values(matcher: Any) -> list[str]:
    """Return the values listed by a matcher; none for a pattern."""
    if ANY in matcher.value or matcher.value == "":
        return []
    if "Re" not in str(matcher.op):
        return [matcher.value]
    plain = re.fullmatch(r"[\w|.:-]+", matcher.value.replace(r"\.", ""))
    return matcher.value.split("|") if plain and ".+" not in matcher.value else []


def _labels_of(modifier: Any) -> set[str]:
    """Return the labels in by(…), without(…), on(…), ignoring(…) and group_left(…)."""
    matching = getattr(modifier, "matching", None)
    return {
        *(getattr(modifier, "labels", None) or ()),
        *(getattr(matching, "labels", None) or ()),
        *(getattr(modifier, "group_labels", None) or ()),
    }

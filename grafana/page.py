"""A whole dashboard: panel layout, navigation links and annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana.parts import BAD, COLUMNS, PLAIN, QUIET
from grafana.queries import PROMETHEUS, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

TAG = "vitrine"
# The titles of all dashboards by uid, in the order of the navigation links.
TITLES = {
    "retail-shop": "Shop",
    "retail-flash-sale": "Flash sale",
    "retail-payments": "Payments and circuit breaker",
    "retail-http": "HTTP by view",
    "retail-jobs": "Jobs and feeds",
    "retail-system": "PostgreSQL and processes",
    "retail-logs": "Logs",
    "retail-slo": "SLOs and error budgets",
    "retail-watch": "Monitoring",
}
# Grafana evaluates annotations at about 100 points of the time range, so each expression covers the
# interval between two of them.
ANNOTATIONS = (
    (
        "Deployments",
        """max by (version) (
  max_over_time(retail_build_info[$__rate_interval]) unless on (version)
  max_over_time(retail_build_info[3m] offset $__rate_interval))""",
        "Version {{version}}",
        PLAIN,
    ),
    (
        "Restarts",
        """max by (job) (
  max_over_time(process_start_time_seconds{job=~"web|gateway"}[$__rate_interval])
  > time() - $__rate_interval_ms / 1000)""",
        "{{job}} started",
        QUIET,
    ),
    (
        "Breaker open",
        """max by (breaker) (
  max_over_time(retail_circuit_breaker_state{state="open"}[$__rate_interval])) > 0""",
        "Circuit breaker {{breaker}} open",
        BAD,
    ),
    (
        "Sold out",
        "sum(increase(retail_sold_out_total[$__rate_interval])) > 0",
        "Checkouts were rejected as sold out",
        "purple",
    ),
    (
        "Alerts",
        """max by (alertname, severity) (
  max_over_time(ALERTS{alertstate="firing",alertname!="Watchdog"}[$__rate_interval]))""",
        "{{alertname}} ({{severity}})",
        BAD,
    ),
)


def page(
    uid: str,
    description: str,
    parts: Sequence[Json],
    *,
    variables: Sequence[Json] = (),
    period: str = "now-1h",
) -> Json:
    """Return the dashboard, with its panels laid out from left to right and top to bottom."""
    return {
        "annotations": {"list": [_annotation(*fields) for fields in ANNOTATIONS]},
        "description": description,
        "editable": False,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,  # shared crosshair
        "links": _navigation(uid),
        "panels": _placed(parts),
        "refresh": "30s",
        "schemaVersion": 42,
        "tags": [TAG],
        "templating": {"list": list(variables)},
        "time": {"from": period, "to": "now"},
        "timepicker": {},
        "timezone": "",
        "title": TITLES[uid],
        "uid": uid,
        "version": 1,
    }


def _placed(parts: Sequence[Json]) -> list[Json]:
    """Return the panels from left to right, with a new line when the next one does not fit."""
    x = y = tallest = 0
    placed = []
    for number, part in enumerate(parts, 1):
        size = part["gridPos"]
        if x + size["w"] > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        placed.append({**part, "id": number, "gridPos": {**size, "x": x, "y": y}})
        x, tallest = x + size["w"], max(tallest, size["h"])
    return placed


def _navigation(here: str) -> list[Json]:
    return [
        {
            "asDropdown": False, "icon": "dashboard", "includeVars": True, "keepTime": True,
            "tags": [], "targetBlank": False, "title": title, "tooltip": "", "type": "link",
            "url": f"/d/{uid}",
        }
        for uid, title in TITLES.items()
        if uid != here
    ]  # fmt: skip


def _annotation(name: str, expr: str, text: str, colour: str) -> Json:
    return {
        "datasource": PROMETHEUS, "enable": True, "hide": False, "iconColor": colour, "name": name,
        "target": {"expr": expr, "refId": "Anno"}, "titleFormat": text,
    }  # fmt: skip


def choice(name: str, label: str, source: Json, label_query: Json | str) -> Json:
    """Return a query variable: one or more of the existing values, or all."""
    return {
        "allValue": ".+", "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": source, "hide": 0, "includeAll": True, "label": label, "multi": True,
        "name": name, "options": [], "query": label_query, "refresh": 2, "regex": "",
        "skipUrlSync": False, "sort": 1, "type": "query",
    }  # fmt: skip


def text_field(name: str, label: str) -> Json:
    """Return a text box variable, typed by people or set by a link."""
    return {
        "current": {"selected": True, "text": "", "value": ""}, "hide": 0, "label": label,
        "name": name, "options": [{"selected": True, "text": "", "value": ""}], "query": "",
        "skipUrlSync": False, "type": "textbox",
    }  # fmt: skip

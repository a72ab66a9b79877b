"""What is up and which alerts fire: the first row of the home dashboard, and Monitoring."""

import re
from typing import Any

from alerts.build import alerts
from grafana.parts import (
    BAD,
    GOOD,
    NO_DATA,
    QUIET,
    WARN,
    link,
    mapping,
    override,
    stat,
    steps,
    table,
)
from grafana.queries import Json, query

ALERT = 'alertstate="firing",alertname!="Watchdog"'
# Of several queries, a panel leaves out those without a result.
UNKNOWN = "or vector(-1)"
# Without it, nobody knows whether an alert should fire.
WATCHDOG = 'count(ALERTS{alertname="Watchdog",alertstate="firing"})'
SEVERITIES: dict[float, tuple[str, str]] = {
    1: ("ticket", WARN),
    2: ("warning", WARN),
    3: ("critical", BAD),
}
# The labels that tell one alert from another of the same name: those in the alerts' texts.
IDENTITY = sorted({
    label
    for alert in alerts()
    for label in re.findall(r"\$labels\.(\w+)", " ".join(alert.annotations().values()))
})  # fmt: skip


def by_severity(*labels: str) -> str:
    """Return the firing alerts by these labels. The value is the severity, 3 for critical."""
    ranked = "\n  or ".join(
        f'{rank} * ALERTS{{{ALERT},severity="{name}"}}' for rank, (name, _) in SEVERITIES.items()
    )
    return f"max by ({', '.join(labels)}) (\n  {ranked}\n)"


def firing(severity: str) -> str:
    """Return the number of firing alerts of these severities; 0 only if rules are evaluated."""
    return f'count(ALERTS{{{ALERT},severity=~"{severity}"}}) or {WATCHDOG} * 0'


def alerts_firing(**more: Any) -> Json:
    """Return the number of firing alerts."""
    red = {"mode": "absolute", "steps": steps((1, BAD))}
    return stat(
        "Alerts firing",
        "Normally 0. Monitoring shows since when, and /metrics/alerts/ in the shop links to their "
        "runbooks. No data: Prometheus does not evaluate its rules.",
        [
            query(firing("critical"), "critical", now=True),
            query(firing("warning|ticket"), "others", now=True),
        ],
        thresholds=steps((1, WARN)),
        overrides=[override("critical", thresholds=red)],
        links=[link("Monitoring", "retail-watch")],
        **more,
    )


def what_is_up(**more: Any) -> Json:
    """Return what is up, as text."""
    shop = "web|worker|gateway|postgres"
    parts = {
        "web": 'avg(up{job="web"}) or vector(0)',  # without a container there is no series
        "worker": 'avg(up{job="worker"}) or vector(0)',
        "gateway": f'avg(up{{job="gateway"}}) {UNKNOWN}',
        "database": f"max(pg_up) {UNKNOWN}",
        "monitoring": f'avg(up{{job!~"{shop}"}}) {UNKNOWN}',
        "from outside": f'min(probe_success{{probe=~"home|ready"}}) {UNKNOWN}',
    }
    partly = {"from": 0.001, "to": 0.999, "result": {"text": "partly", "color": WARN, "index": 2}}
    return stat(
        "What is up",
        "What Prometheus can scrape, and whether postgres-exporter can log in to the database. "
        "“From outside” asks for the home page and /readyz as a visitor does. Normally all is up. "
        "Monitoring lists the parts. If web is up and the database is down, every page returns "
        "503. Check `docker compose ps`.",
        [query(expr, name, now=True) for name, expr in parts.items()],
        mappings=[
            *mapping({0: ("DOWN", BAD), 1: ("up", GOOD), -1: (NO_DATA, QUIET)}),
            {"type": "range", "options": partly},
        ],
        thresholds=steps((1, GOOD), base=BAD),
        links=[link("Monitoring", "retail-watch")],
        **more,
    )


def firing_alerts(**more: Any) -> Json:
    """Return the table of firing alerts, the highest severity first."""
    joined = ", ".join(f'"{label}"' for label in IDENTITY)
    named = f'label_join({by_severity("alertname", *IDENTITY)}, "which", " ", {joined})'
    none = f'label_replace({WATCHDOG} * 0, "alertname", "No alert is firing", "", "")'
    severities = mapping({0: ("none", GOOD), **SEVERITIES})
    return table(
        "Firing alerts",
        "The highest severity first. Normally none. The runbook of an alert is in the shop, under "
        "/metrics/runbooks/ and the alert's name. Alerts of Loki and Grafana are only on "
        "/metrics/alerts/. If even the line that no alert is firing is missing, Prometheus does "
        "not evaluate its rules.",
        [query(f"{named}\nor on () {none}", now=True)],
        unit="string",
        hide=IDENTITY,
        columns={"Value": "Severity", "alertname": "Alert", "which": "Which"},
        overrides=[
            override(
                "Severity",
                custom__width=90,
                custom__align="left",
                mappings=severities,
                custom__cellOptions={"type": "color-background", "mode": "basic"},
            ),
            override("Alert", custom__width=260),
        ],
        sort=[{"displayName": "Severity", "desc": True}],
        **more,
    )

"""Grafana's four alert rules: a fallback, with the names and limits of the Prometheus rules.

They query counters and never recorded series, so that they still work when Prometheus cannot load
its rules. Missing data and query errors fire them too. They wait at least as long as a deployment
takes: Prometheus fires first, and Alertmanager then inhibits Grafana's alert.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alerts import http_errors, payments, stock
from alerts.model import span
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from alerts.model import Alert
    from grafana.queries import Json

ERRORS = THRESHOLDS.error_rate
SUCCESS = THRESHOLDS.payment_success
EVERY_SECONDS = 30
WEB_UP = 'max(up{job="web"})'


@dataclass(frozen=True)
class Rule:
    """An expression that has a value whenever the shop is scraped, and its limit."""

    alert: Alert
    expr: str
    comparison: str  # gt or lt: fires above or below the limit
    limit: float


def _ratio(part: str, whole: str, seconds: int, least: int, healthy: int) -> str:
    """Return a ratio of counters over a window, or `healthy` if there are too few events."""
    total = f"sum(increase({whole}[{span(seconds)}]))"
    return (
        f"((sum(increase({part}[{span(seconds)}])) or {total} * 0) / ({total} > 0)\n"
        f"  and round({total}) >= {least})\n"
        f"or {WEB_UP} * 0 + {healthy}"
    )


RULES = (
    Rule(
        http_errors.ERROR_RATE_HIGH,
        _ratio("retail_http_errors_total", f"{http_errors.REQUESTS}{{{http_errors.VISITORS}}}",
               ERRORS.window_seconds, ERRORS.least_requests, healthy=0),
        "gt",
        ERRORS.most_ratio,
    ),
    Rule(
        payments.SUCCESS_LOW,
        _ratio('retail_payments_total{outcome="completed"}', "retail_payments_total",
               SUCCESS.window_seconds, SUCCESS.least_payments, healthy=1),
        "lt",
        SUCCESS.least_ratio,
    ),
    Rule(
        stock.STOCK_CONFLICT,
        "sum(increase(retail_stock_conflicts_total"
        f"[{span(THRESHOLDS.stock_conflicts.window_seconds)}]))",
        "gt",
        THRESHOLDS.stock_conflicts.most_conflicts,
    ),
    Rule(
        payments.BREAKER_OPEN,
        'max(max_over_time(retail_circuit_breaker_state{state="open"}'
        f"[{span(THRESHOLDS.circuit_breaker.window_seconds)}]))",
        "gt",
        0,
    ),
)  # fmt: skip


def file() -> Json:
    """Return the provisioning file."""
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": "retail",
                "folder": "Vitrine",
                "interval": f"{EVERY_SECONDS}s",
                "rules": [_rule(rule) for rule in RULES],
            }
        ],
    }


def _rule(rule: Rule) -> Json:
    alert = rule.alert
    wait = max(alert.for_seconds, THRESHOLDS.targets.warning_for_seconds)
    description = (
        "Grafana sends this alert because Prometheus did not. Either the limit is exceeded, or "
        "Prometheus does not respond or has no data about the shop. First steps:\n"
        "1. Run docker compose ps prometheus web and "
        "docker compose logs --since 10m prometheus.\n"
        f"2. If Prometheus works, follow the runbook of {alert.name}."
    )
    return {
        "uid": f"grafana-{alert.name}",
        "title": alert.name,
        "condition": "B",
        "for": span(wait),
        "noDataState": "Alerting",
        "execErrState": "Alerting",
        "missing_series_evals_to_resolve": 2,
        "labels": {
            "origin": "grafana",
            "severity": alert.severity,
            "service": alert.service,
        },
        # With the links of the Prometheus rule, whose addresses alerts/render.py replaces.
        "annotations": {
            **alert.annotations(),
            "summary": f"{alert.name}, or Prometheus has no data",
            "description": description,
        },
        "data": [
            {
                "refId": "A",
                "relativeTimeRange": {"from": 600, "to": 0},
                "datasourceUid": "prometheus",
                "model": {"refId": "A", "expr": rule.expr, "instant": True, "range": False},
            },
            {
                "refId": "B",
                "relativeTimeRange": {"from": 0, "to": 0},
                "datasourceUid": "__expr__",
                "model": {
                    "refId": "B",
                    "type": "threshold",
                    "expression": "A",
                    "conditions": [
                        {"evaluator": {"type": rule.comparison, "params": [rule.limit]}}
                    ],
                },
            },
        ],
    }

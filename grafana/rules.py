"""Grafana's own four rules: the same names and limits as Prometheus's, for when that is silent.

They read the counters, not what Prometheus records from them: a Prometheus whose rules do not load
must not silence these too. No data and no answer are alerts. They wait at least as long as a shop
takes to be deployed, so that Prometheus speaks first, and Alertmanager then keeps these back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alerts import answers, payments, stock
from alerts.model import span
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from alerts.model import Alert
    from grafana.parts import Json

ERRORS = THRESHOLDS.error_rate
SUCCESS = THRESHOLDS.payment_success
EVERY_SECONDS = 30
WEB_IS_READ = 'max(up{job="web"})'


@dataclass(frozen=True)
class Rule:
    """A number that is always there while the shop is read, and the limit that it must not pass."""

    alert: Alert
    expr: str
    passes: str  # gt or lt
    limit: float


def _share(part: str, whole: str, seconds: int, least: int, well: int) -> str:
    """Return a share of counters over a window; `well` where there is too little to tell."""
    total = f"sum(increase({whole}[{span(seconds)}]))"
    return (
        f"((sum(increase({part}[{span(seconds)}])) or {total} * 0) / ({total} > 0)\n"
        f"  and round({total}) >= {least})\n"
        f"or {WEB_IS_READ} * 0 + {well}"
    )


RULES = (
    Rule(
        answers.ERROR_RATE_HIGH,
        _share(f'{answers.ANSWERS}{{status="5xx"}}', answers.ANSWERS, ERRORS.window_seconds,
               ERRORS.least_requests, well=0),
        "gt",
        ERRORS.most_ratio,
    ),
    Rule(
        payments.SUCCESS_LOW,
        _share('retail_payments_total{outcome="completed"}', "retail_payments_total",
               SUCCESS.window_seconds, SUCCESS.least_payments, well=1),
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
    said = (
        "Told by Grafana, because Prometheus did not: the limit is passed, or Prometheus does not "
        "answer or knows nothing about the shop. First steps:\n"
        "1. docker compose ps prometheus web; docker compose logs --since 10m prometheus.\n"
        f"2. Prometheus works: go on as the runbook of {alert.name} says."
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
        # Grafana fills in the addresses of its own environment.
        "annotations": {
            "summary": f"{alert.name}, or Prometheus cannot say",
            "description": said,
            "runbook_url": f"${{SHOP_URL}}/metrics/runbooks/{alert.name}/",
            "dashboard_url": f"${{GF_SERVER_ROOT_URL}}/d/{alert.dashboard}?from=now-1h&to=now",
            "logs_url": "${GF_SERVER_ROOT_URL}/d/retail-logs?from=now-1h&to=now",
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
                    "conditions": [{"evaluator": {"type": rule.passes, "params": [rule.limit]}}],
                },
            },
        ],
    }

"""Which alert silences which, for every pair of alerts, in a real Alertmanager."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from alerts import build
from grafana.rules import RULES
from tests.alerts.support import Labels, alert, key

if TYPE_CHECKING:
    from tests.alerts.running import Alertmanager

BREAKER = {"breaker": "payments", "service": "payments"}
SHOP, PAYMENTS, WATCH = {"service": "shop"}, {"service": "payments"}, {"service": "watch"}

ALERTS: dict[str, Labels] = {
    "errors": alert("RetailErrorRateHigh", "critical", **SHOP),
    "payments fail": alert("RetailPaymentSuccessLow", "critical", **PAYMENTS),
    "breaker": alert("RetailCircuitBreakerOpen", "warning", **BREAKER),
    "breaker, long": alert("RetailCircuitBreakerOpen", "critical", **BREAKER),
    "unknown": alert("RetailPaymentUnknownStuck", "critical", **PAYMENTS),
    "refund, unsent": alert("RetailRefundStuck", "warning", state="unknown", **PAYMENTS),
    "refund, pending": alert("RetailRefundStuck", "warning", state="pending", **PAYMENTS),
    "refund failed": alert("RetailRefundFailed", "warning", **PAYMENTS),
    "feed late": alert("RetailFeedStale", "warning", partner="acme", **SHOP),
    "feed held": alert("RetailFeedHeld", "warning", **SHOP),
    "feed rejects": alert("RetailFeedRejects", "ticket", partner="acme", **SHOP),
    "conflict": alert("RetailStockConflict", "warning", **SHOP),
    "oversold": alert("RetailOversold", "critical", **SHOP),
    "violated": alert("RetailInvariantViolated", "critical", invariant="x", **SHOP),
    "audit stale": alert("RetailAuditStale", "warning", invariant="x", **WATCH),
    "scenario": alert("RetailQualityScenarioFailing", "ticket", scenario="A2", **SHOP),
    "checkouts burn": alert("RetailCheckoutBudgetBurn", "critical", **SHOP),
    "checkouts smoulder": alert("RetailCheckoutBudgetBurn", "ticket", **SHOP),
    "calls burn": alert("RetailPaymentBudgetBurn", "critical", **PAYMENTS),
    "calls smoulder": alert("RetailPaymentBudgetBurn", "ticket", **PAYMENTS),
    "no web": alert("RetailTargetDown", "critical", job="web", **WATCH),
    "one web": alert("RetailTargetDown", "warning", job="web", instance="a", **WATCH),
    "no worker": alert("RetailTargetDown", "critical", job="worker", **WATCH),
    "one worker": alert("RetailTargetDown", "warning", job="worker", instance="b", **WATCH),
    "no loki": alert("RetailTargetDown", "warning", job="loki", instance="loki", **WATCH),
    "queue": alert("RetailQueueStalled", "warning", service="worker"),
    "e-mails": alert("RetailEmailsLate", "warning", service="worker"),
    "backup": alert("RetailBackupOld", "warning", service="shop"),
    "job": alert("RetailJobOverdue", "warning", task="run_audit", service="worker"),
    "gauge": alert("RetailGaugeMissing", "warning", gauge="retail_oversold_units", **WATCH),
    "clock": alert("RetailClockWrong", "warning", job="worker", instance="b", **WATCH),
    "undelivered": alert("RetailNotificationsFailing", "warning", integration="webhook", **WATCH),
    "telemetry": alert("RetailTelemetryFailing", "ticket", sink="collector", **WATCH),
    "log-ins": alert("RetailLoginFailuresHigh", "warning", **SHOP),
    "log lines": alert("RetailLogErrorsBurst", "warning", service_name="web", **SHOP),
    "proxy": alert("RetailProxyErrorsHigh", "critical", **SHOP),
    "home": alert("RetailProbeFailing", "critical", probe="home", **SHOP),
    "worker": alert("RetailProbeFailing", "critical", probe="worker", **SHOP),
    "database": alert("RetailDatabaseDown", "critical", **SHOP),
    "web restarts": alert("RetailRestarting", "critical", job="web", **SHOP),
    "last requests": alert("RetailLastAllFailed", "critical", events="requests", **SHOP),
    "last checkouts": alert("RetailLastAllFailed", "critical", events="checkouts", **SHOP),
    "last payments": alert("RetailLastAllFailed", "critical", events="payments", **SHOP),
    "no visitors": alert("RetailTrafficGone", "critical", **SHOP),
    "db disk": alert("RetailDiskFull", "critical", disk="db", **WATCH),
    "db disk soon": alert("RetailDiskFull", "warning", disk="db", **WATCH),
    "logs disk soon": alert("RetailDiskFull", "warning", disk="logs", **WATCH),
    "watchdog": alert("Watchdog", "none", **WATCH),
    "grafana's errors": alert("RetailErrorRateHigh", "critical", origin="grafana", **SHOP),
    "grafana's payments": alert(
        "RetailPaymentSuccessLow", "critical", origin="grafana", **PAYMENTS
    ),
    "grafana's conflict": alert("RetailStockConflict", "warning", origin="grafana", **SHOP),
    # Grafana's rule has one row, without a breaker's name.
    "grafana's breaker": alert("RetailCircuitBreakerOpen", "warning", origin="grafana", **PAYMENTS),
}

# While the first fires, the others notify nobody. Every other pair notifies of both.
SILENCES = {
    # It names the cause. "Who pays?" and "are there visitors?" have other answers, too.
    "database": {
        "errors", "checkouts burn", "checkouts smoulder", "home", "last requests", "last checkouts",
        "audit stale", "queue", "e-mails", "job", "gauge", "telemetry", "refund, unsent",
        "grafana's errors",
    },
    # The shop answers nobody.
    "home": {
        "errors", "checkouts burn", "checkouts smoulder", "last requests", "last checkouts",
        "no web", "one web", "no visitors", "proxy", "grafana's errors",
    },
    "worker": {
        "no worker", "one worker", "audit stale", "queue", "e-mails", "job", "refund, unsent",
    },
    "no worker": {"one worker", "audit stale", "queue", "e-mails", "job", "refund, unsent"},
    # Perhaps only the scrape fails: everything else is still said.
    "no web": {"one web"},
    # No payment can succeed. For its first minutes it is a warning, and silences nothing.
    "breaker, long": {
        "breaker", "payments fail", "calls burn", "calls smoulder", "last payments",
        "refund, unsent", "grafana's payments",
    },
    # The same, of more events.
    "errors": {"last requests", "grafana's errors"},
    "checkouts burn": {"checkouts smoulder", "last checkouts"},
    "calls burn": {"calls smoulder"},
    "payments fail": {"last payments", "grafana's payments"},
    "db disk": {"db disk soon"},
    # The original is enough.
    "breaker": {"grafana's breaker"},
    "conflict": {"grafana's conflict"},
}  # fmt: skip


def severity(name: str) -> str:
    return ALERTS[name]["severity"]


def test_the_matrix_has_every_alert() -> None:
    grafana = {(rule.alert.name, rule.alert.severity, "grafana") for rule in RULES}
    rules = {(rule.name, rule.severity, "") for rule in build.alerts()}
    listed = {(it["alertname"], it["severity"], it.get("origin", "")) for it in ALERTS.values()}
    assert listed == rules | grafana


def test_only_a_critical_alert_silences_a_critical_one_and_never_a_copy() -> None:
    pairs = [(one, other) for one, others in SILENCES.items() for other in others]
    assert len(pairs) > len(SILENCES)
    critical = [(one, other) for one, other in pairs if severity(other) == "critical"]
    assert {severity(one) for one, _ in critical} == {"critical"}
    assert [one for one in SILENCES if ALERTS[one].get("origin")] == []


def test_who_speaks_in_each_pair(running: Alertmanager) -> None:
    wrong = []
    pairs = list(combinations(ALERTS, 2))
    for one, other in pairs:
        states = running.inhibited([ALERTS[one], ALERTS[other]])
        silent = {name for name in (one, other) if states[key(ALERTS[name])]}
        expected = {other} & SILENCES.get(one, set()) | {one} & SILENCES.get(other, set())
        if silent != expected:
            wrong.append(f"{one} + {other}: silent {silent or 'none'}, not {expected or 'none'}")
    assert len(pairs) > 700
    assert wrong == []


def test_all_at_once_only_causes_speak(running: Alertmanager) -> None:
    states = running.inhibited(list(ALERTS.values()))
    silenced = set().union(*SILENCES.values())
    assert {name for name in ALERTS if states[key(ALERTS[name])]} == silenced

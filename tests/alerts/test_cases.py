"""Each alert has unit tests for what can happen to its series.

A case states in brackets at the end of its name what it shows, such as `[fires, gap]`.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
import yaml

from alerts import build
from tests.alerts.support import UNIT_TESTS, concerns, rules_of

# fires, and not just below its limit; resolves; first: an event or value without an earlier one;
# gap: scrapes are missed, or the series disappears; reset: a process starts anew.
EVENTS = {"fires", "below", "resolves", "first", "no traffic", "gap", "reset"}
SHARE = EVENTS | {"low traffic"}
GAUGE = {"fires", "below", "resolves", "first", "no traffic", "gap"}
NEEDED = {
    "RetailErrorRateHigh": SHARE,
    "RetailPaymentSuccessLow": SHARE,
    "RetailCheckoutBudgetBurn": SHARE,
    "RetailPaymentBudgetBurn": SHARE,
    "RetailLastAllFailed": SHARE,
    "RetailTrafficGone": SHARE,
    "RetailStockConflict": EVENTS,
    "RetailTelemetryFailing": EVENTS,
    "RetailLoginFailuresHigh": EVENTS,
    "RetailRestarting": EVENTS - {"first"},  # a first start is no restart
    "RetailCircuitBreakerOpen": GAUGE | {"reset"},  # a new process says that it is closed
    "RetailQualityScenarioFailing": GAUGE | {"reset"},
    "RetailPaymentUnknownStuck": GAUGE,
    "RetailRefundStuck": GAUGE,
    "RetailRefundFailed": GAUGE,
    "RetailFeedStale": GAUGE,
    "RetailFeedHeld": GAUGE,
    "RetailFeedRejects": SHARE,
    "RetailOversold": GAUGE,
    "RetailInvariantViolated": GAUGE,
    "RetailQueueStalled": GAUGE,
    "RetailEmailsLate": GAUGE,
    "RetailBackupOld": GAUGE | {"no traffic"},  # where nobody has to make any
    "RetailProbeFailing": GAUGE,
    "RetailDatabaseDown": GAUGE,
    "RetailJobOverdue": GAUGE,
    "RetailDiskFull": GAUGE,
    "RetailAuditStale": GAUGE,
    "RetailGaugeMissing": GAUGE,
    "RetailNotificationsFailing": EVENTS,
    # Without a scrape there is no clock to compare; RetailTargetDown notices.
    "RetailClockWrong": {"fires", "below", "resolves", "first"},
    "RetailTargetDown": {"fires", "below", "resolves", "gap"},
    "Watchdog": {"fires", "gap"},
}
KNOWN = set().union(*NEEDED.values())


def cases() -> list[tuple[dict[str, Any], set[str]]]:
    """Return every unit test, with the alerts of its rule file."""
    found = []
    for file in UNIT_TESTS:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        rules = [
            rule for path in content["rule_files"] for rule in rules_of(f"alerts/tests/{path}")
        ]
        alerts = {rule["alert"] for rule in rules if "alert" in rule}
        found += [(case, alerts) for case in content["tests"]]
    return found


def shown(case: dict[str, Any]) -> set[str]:
    """Return what a case shows, by its name."""
    match = re.search(r" \[([a-z, ]+)\]$", case["name"])
    return set(match[1].split(", ")) if match else set()


CASES = cases()


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_an_alert_has_its_cases(name: str) -> None:
    own = [case for case, alerts in CASES if name in alerts and concerns(case, name)]
    assert NEEDED[name] - set().union(*map(shown, own)) == set()


def test_every_prometheus_alert_is_listed() -> None:
    of_loki = {"RetailLogErrorsBurst", "RetailProxyErrorsHigh"}  # promtool reads no LogQL
    assert set(NEEDED) == {alert.name for alert in build.alerts()} - of_loki


@pytest.mark.parametrize(("case", "alerts"), CASES, ids=[case["name"][:60] for case, _ in CASES])
def test_a_case_shows_what_it_states(case: dict[str, Any], alerts: set[str]) -> None:
    tags = shown(case)
    assert tags <= KNOWN
    checks = case.get("alert_rule_test", [])
    expected = [check["exp_alerts"] for check in checks]
    expected += [
        check.get("exp_samples")
        for check in case.get("promql_expr_test", [])
        if "ALERTS" in check["expr"]
    ]
    assert expected
    assert any(name for name in alerts if concerns(case, name))
    values = [series["values"] for series in case["input_series"]]
    if "fires" in tags:
        assert any(expected)
    if "below" in tags:
        assert not all(expected)
    if "resolves" in tags:
        sizes = [len(alerts_then or ()) for alerts_then in expected]
        assert any(after < before for before, after in pairwise(sizes))
    if "gap" in tags and values:
        assert any(re.search(r"\b_x\d|\bstale\b", it) for it in values)
    if "reset" in tags:
        new = {it["series"] for it in case["input_series"] if "instance=" in it["series"]}
        assert any(falls(it) for it in values) or len(new) > 1


def falls(values: str) -> bool:
    """Return whether the first number of a later part is lower than that of an earlier one."""
    starts = [float(it[1]) for it in re.finditer(r"(?:^| )(-?[\d.]+)", values)]
    return any(later <= earlier for earlier, later in pairwise(starts))

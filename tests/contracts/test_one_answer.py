"""One number has one answer: page, API, scenario, alert rule and panel get the same data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from grafana.pages.payments import PAGE as PAYMENTS
from grafana.parts import BAD, GOOD, WARN
from grafana.shared import success_now
from tests.alerts.support import passes, rules_of
from tests.dashboards.support import api_document, cards
from tests.quality.support import NOON, answered, evaluated, fast_fails, measure, orders

if TYPE_CHECKING:
    from pathlib import Path

    from django.test import Client

pytestmark = pytest.mark.django_db

STATES = {GOOD: "good", WARN: "warn", BAD: "bad"}
UP = {"series": 'up{job="web"}', "values": "1x200"}
PAID, FAST_FAIL = "Payments completed", "Fast-fail time"


@pytest.fixture(autouse=True)
def _it_is_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    for view in ("dashboards.views", "quality.views"):
        monkeypatch.setattr(f"{view}.timezone.now", lambda: NOON)


def kept(client: Client, name: str) -> bool | None:
    """Return the answer of A2's JSON about one measure."""
    document = client.get("/metrics/quality-scenarios/?format=json").json()
    (a2,) = [scenario for scenario in document["scenarios"] if scenario["id"] == "A2"]
    (found,) = [measure for measure in a2["measures"] if measure["name"].startswith(name)]
    answer: bool | None = found["kept"]
    return answer


def shop_states(client: Client, key: str, name: str) -> set[tuple[str, bool | None]]:
    """Return the API's state of a number, and A2's answers about it."""
    state = api_document(client, 1)["numbers"][key]["state"]
    return {(state, answer) for answer in (kept(client, name), measure(evaluated("A2"), name).met)}


def panel_expectation(panel: dict[str, Any], state: str) -> dict[str, Any]:
    """Return a promtool check that a panel has this state; `calm` is a word, below 0, in grey."""
    value = f"round({panel['targets'][0]['expr'].replace('$__range', '5m')}, 0.0001)"
    if state == "calm":
        return {
            "expr": f"count({value} < 0)",
            "eval_time": "20m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    (place,) = [n for n, step in enumerate(steps) if STATES[step["color"]] == state]
    above = 0 if place == 0 else steps[place]["value"]
    below = steps[place + 1]["value"] if place + 1 < len(steps) else math.inf
    upper = "+Inf" if math.isinf(below) else below
    expr = f"count(({value} >= {above}) < {upper})"
    return {"expr": expr, "eval_time": "20m", "exp_samples": [{"labels": "{}", "value": 1}]}


@pytest.mark.parametrize(
    ("completed", "failed", "state"),
    [
        (7, 2, "calm"),
        (0, 19, "calm"),
        (19, 0, "calm"),
        (20, 0, "good"),
        (39, 1, "good"),
        (58, 2, "warn"),
        (18, 2, "bad"),
        (0, 20, "bad"),
    ],
)
def test_payment_success_has_one_answer(
    staff: Client, promtool: str, tmp_path: Path, completed: int, failed: int, state: str
) -> None:
    orders(completed, 1)
    orders(failed, 1, status="FAILED")
    met = {"calm": None, "bad": False}.get(state, True)
    assert shop_states(staff, "payment_success", PAID) == {(state, met)}
    assert cards(staff)["Payment success"].startswith(f"{state}:")

    series = [
        UP,
        *(
            {
                "series": f'retail_payments_total{{outcome="{outcome}"}}',
                "values": f"0+{count / 20}x200",
            }
            for outcome, count in (("completed", completed), ("failed", failed))
        ),
    ]
    firing = 'ALERTS{alertname="RetailPaymentSuccessLow",alertstate="firing"}'
    rule = {
        "expr": f"count({firing}) or vector(0)",
        "eval_time": "20m",
        "exp_samples": [{"labels": "{}", "value": int(met is False)}],
    }
    panel = panel_expectation(success_now(), state)
    case = {"interval": "15s", "input_series": series, "promql_expr_test": [rule, panel]}
    assert passes(promtool, tmp_path, rules_of("alerts/rules/payments.yml"), case, "15s")


@pytest.mark.parametrize(
    ("fast", "slow", "state"),
    [(0, 0, "calm"), (1, 0, "good"), (0, 1, "bad"), (200, 1, "good"), (95, 5, "bad")],
)
def test_the_fast_fail_time_has_one_answer(
    staff: Client, promtool: str, tmp_path: Path, fast: int, slow: int, state: str
) -> None:
    answered(1, count=1, errors=0, le1000=1)
    if fast + slow:
        fast_fails(1, le50=fast, le500=slow)
    met = {"calm": None, "bad": False}.get(state, True)
    assert shop_states(staff, "fast_fail", FAST_FAIL) == {(state, met)}

    buckets = (("0.05", fast), ("0.1", fast), ("0.5", fast + slow), ("+Inf", fast + slow))
    series = [
        UP,
        {
            "series": "retail_fast_fail_duration_seconds_count",
            "values": f"0+{(fast + slow) / 20}x200",
        },
        *(
            {
                "series": f'retail_fast_fail_duration_seconds_bucket{{le="{bound}"}}',
                "values": f"0+{count / 20}x200",
            }
            for bound, count in buckets
        ),
    ]
    (panel,) = [row for row in PAYMENTS["panels"] if "fast-fail time" in row["title"]]
    check = panel_expectation(panel, state)
    case = {"interval": "15s", "input_series": series, "promql_expr_test": [check]}
    assert passes(promtool, tmp_path, rules_of("alerts/rules/payments.yml"), case, "15s")

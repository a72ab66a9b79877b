import re
from typing import Any

import promql_parser
import pytest
import yaml

from alerts import http_errors, payments, stock
from alerts.model import span
from grafana.build import ROOT
from grafana.page import TITLES
from retail.thresholds import THRESHOLDS

FOLDER = ROOT / "grafana/provisioning"


def read(path: str) -> Any:
    return yaml.safe_load((FOLDER / path).read_text("utf-8"))


RULES = {rule["title"]: rule for rule in read("alerting/rules.yml")["groups"][0]["rules"]}
PROMETHEUS_ALERTS = {
    alert.name: alert
    for alert in (
        http_errors.ERROR_RATE_HIGH,
        payments.SUCCESS_LOW,
        stock.STOCK_CONFLICT,
        payments.BREAKER_OPEN,
    )
}


def test_data_sources() -> None:
    sources = {source["uid"]: source for source in read("datasources/vitrine.yml")["datasources"]}
    assert {uid: (s["type"], s["url"]) for uid, s in sources.items()} == {
        "prometheus": ("prometheus", "http://prometheus:9090"),
        "loki": ("loki", "http://loki:3100"),
        "alertmanager": ("alertmanager", "http://alertmanager:9093"),
    }
    assert [uid for uid, s in sources.items() if s.get("isDefault")] == ["prometheus"]
    assert not any(s["editable"] for s in sources.values())


def test_requests_and_orders_link_to_their_logs() -> None:
    sources = {source["uid"]: source for source in read("datasources/vitrine.yml")["datasources"]}
    (exemplar,) = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    fields = sources["loki"]["jsonData"]["derivedFields"]
    assert exemplar["name"] == "request_id"
    assert [(f["matcherType"], f["matcherRegex"]) for f in fields] == [
        ("label", "request_id"),
        ("label", "order_ref"),
    ]
    # A single $ would start an environment variable.
    for url, name in (
        (exemplar["url"], "request_id"),
        *((f["url"], f["matcherRegex"]) for f in fields),
    ):
        assert url == f"/d/retail-logs?$${{__url_time_range}}&var-{name}=$${{__value.raw}}"


def test_dashboards_are_read_only() -> None:
    (provider,) = read("dashboards/vitrine.yml")["providers"]
    assert (provider["folder"], provider["allowUiUpdates"]) == ("Vitrine", False)
    assert provider["options"]["path"] == "/etc/grafana/dashboards"


def test_grafana_sends_its_alerts_to_alertmanager() -> None:
    notifications = read("alerting/notifications.yml")
    (point,) = notifications["contactPoints"]
    (receiver,) = point["receivers"]
    assert receiver["type"] == "prometheus-alertmanager"
    assert receiver["settings"] == {"url": "http://alertmanager:9093"}
    assert [policy["receiver"] for policy in notifications["policies"]] == [point["name"]]


def test_the_four_rules() -> None:
    assert RULES.keys() == PROMETHEUS_ALERTS.keys()
    assert len({rule["uid"] for rule in RULES.values()}) == 4
    assert all(re.fullmatch(r"[\w-]{1,40}", rule["uid"]) for rule in RULES.values())


@pytest.mark.parametrize("name", PROMETHEUS_ALERTS)
def test_rule(name: str) -> None:
    rule, alert = RULES[name], PROMETHEUS_ALERTS[name]
    wait = max(alert.for_seconds, THRESHOLDS.targets.warning_for_seconds)
    assert rule["for"] == span(wait)
    assert rule["labels"] == {
        "origin": "grafana",
        "severity": alert.severity,
        "service": alert.service,
    }
    assert (rule["noDataState"], rule["execErrState"]) == ("Alerting", "Alerting")
    links = {key: value for key, value in alert.annotations().items() if key.endswith("_url")}
    assert len(links) == 3
    assert rule["annotations"].items() >= links.items()
    assert "or Prometheus has no data" in rule["annotations"]["summary"]
    assert links["dashboard_url"].split("/d/")[1].split("?")[0] in TITLES
    number, limit = (query["model"] for query in rule["data"])
    promql_parser.parse(number["expr"])
    assert (rule["condition"], limit["expression"], limit["type"]) == ("B", "A", "threshold")


def test_limits_match_prometheus() -> None:
    def limit(name: str) -> tuple[str, float]:
        evaluator = RULES[name]["data"][1]["model"]["conditions"][0]["evaluator"]
        return evaluator["type"], evaluator["params"][0]

    limits = {name: limit(name) for name in RULES}
    assert limits == {
        "RetailErrorRateHigh": ("gt", THRESHOLDS.error_rate.most_ratio),
        "RetailPaymentSuccessLow": ("lt", THRESHOLDS.payment_success.least_ratio),
        "RetailStockConflict": ("gt", THRESHOLDS.stock_conflicts.most_conflicts),
        "RetailCircuitBreakerOpen": ("gt", 0),
    }
    # The expressions of Prometheus contain the same numbers.
    assert f" > {limits['RetailErrorRateHigh'][1]}" in http_errors.ERROR_RATE_HIGH.expr
    assert f" < {limits['RetailPaymentSuccessLow'][1]}" in payments.SUCCESS_LOW.expr


def test_no_rule_queries_recorded_series() -> None:
    for rule in RULES.values():
        assert "service:" not in rule["data"][0]["model"]["expr"]

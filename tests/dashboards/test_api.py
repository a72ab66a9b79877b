"""The API: access, content, and 304 when nothing has changed."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as configured

from dashboards.guide import GUIDE
from dashboards.measures import MEASURES
from payments.breaker import NAME as BREAKER
from payments.models import CircuitBreaker
from retail.health import Finding, health_check
from retail.models import Metric, RollupMark
from retail.observability.rows.types import METRIC_TYPES
from retail.thresholds import THRESHOLDS, in_words
from tests.dashboards.support import api_document
from tests.support import make_buyer

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

API = "/metrics/api/"
NOW = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
DOCUMENT = Path(configured.BASE_DIR).parent / "docs" / "api.md"
NAMED = "`unknown_payments.most_age_seconds`"  # documented by name instead of its number
TOKEN = {"authorization": "Bearer a-token"}


@pytest.fixture(autouse=True)
def _it_is_noon(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr("dashboards.views.timezone.now", lambda: NOW)
    settings.METRICS_TOKEN = "a-token"


def test_access_needs_the_token_or_staff(client: Client, staff: Client) -> None:
    assert staff.get(API).status_code == 200
    client.logout()
    assert client.get(API, headers=TOKEN).status_code == 200
    for headers in ({}, {"authorization": "Bearer another"}, {"authorization": "Basic a-token"}):
        response = client.get(API, headers=headers)
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == 'Bearer realm="metrics"'
        assert response.json()["error"]["message"].startswith("Send METRICS_TOKEN")
    client.force_login(make_buyer("customer"))
    assert client.get(API).status_code == 403
    assert client.post(API, headers=TOKEN).status_code == 405


@pytest.mark.parametrize(("debug", "token", "status"), [
    (True, "", 200), (True, "a-token", 401), (False, "", 401), (False, "a-token", 401),
])  # fmt: skip
def test_without_a_token_only_development_is_open(
    client: Client, settings: Settings, debug: bool, token: str, status: int
) -> None:
    settings.DEBUG, settings.METRICS_TOKEN = debug, token
    assert client.get(API).status_code == status


@pytest.mark.parametrize(
    "days", ["0", "91", "-1", "7.5", "", " 7", "7 ", "seven", "07", "1e1", "٣", "9" * 40, "7\x00"]
)
def test_invalid_days_are_rejected_with_a_message(client: Client, days: str) -> None:
    response = client.get(API, {"days": days}, headers={**TOKEN, "accept": "text/html"})
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["status"], error["title"], error["message"]) == (
        400,
        "Invalid number of days",
        "The parameter days must be a whole number from 1 to 90.",
    )
    assert error["reference"] == response["X-Request-ID"]


@pytest.mark.parametrize(
    ("days", "since", "step", "steps", "daily"),
    [
        (1, "2026-03-01T13:00:00Z", 3600, 24, 7),
        (7, "2026-02-23T13:00:00Z", 3600, 168, 7),
        (8, "2026-02-23T00:00:00Z", 86400, 8, 8),
        (90, "2025-12-03T00:00:00Z", 86400, 90, 90),
    ],
)
def test_the_range_has_the_requested_length(
    client: Client, days: int, since: str, step: int, steps: int, daily: int
) -> None:
    document = api_document(client, days, **TOKEN)
    assert (document["days"], document["since"], document["step_seconds"]) == (days, since, step)
    assert document["generated_at"] == "2026-03-02T12:00:30Z"
    assert document["series"]["starts"][0] == since
    series = {key: metric for key, metric in document["series"].items() if key != "starts"}
    lengths = {len(metric["values"]) for metric in series.values()}
    assert lengths == {steps} == {len(document["series"]["starts"])}
    days_shown = document["daily"]["days"]
    assert (len(days_shown), days_shown[-1]) == (daily, "2026-03-02")
    assert len(document["daily"]["orders"]["values"]) == daily


def test_the_default_is_seven_days(client: Client) -> None:
    assert client.get(API, headers=TOKEN).json() == api_document(client, 7, **TOKEN)


def test_an_empty_shop_has_no_rates_and_no_states(client: Client) -> None:
    document = api_document(client, 7, **TOKEN)
    numbers = {key: number["value"] for key, number in document["numbers"].items()}
    without_data = {
        *("error_rate", "client_error_rate", "payment_success"),
        *("response_avg", "response_p50", "response_p95", "response_p99", "fast_fail"),
    }
    assert {key for key, value in numbers.items() if value is None} == without_data
    assert {value for key, value in numbers.items() if key not in without_data} == {0, "0.00"}
    assert {number["state"] for number in document["numbers"].values()} == {"calm"}
    assert document["rolled_until"] is None


def test_unchanged_numbers_are_a_304(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.get(API, headers=TOKEN)
    assert re.fullmatch(r'W/"[0-9a-f]{32}"', first["ETag"])
    assert (first["Cache-Control"], first["Vary"]) == ("private, no-cache", "Authorization, Cookie")
    later = NOW.replace(second=59)
    monkeypatch.setattr("dashboards.views.timezone.now", lambda: later)
    RollupMark.objects.create(until=NOW.replace(second=0))
    known = {**TOKEN, "if-none-match": first["ETag"]}
    again = client.get(API, headers=known)
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert client.get(API, {"days": 8}, headers=known).status_code == 200
    assert client.get(API, headers={**TOKEN, "if-none-match": '"other"'}).status_code == 200
    Metric.objects.create(
        metric_type="error_rate", value=0, metadata={"count": 3}, timestamp=NOW.replace(second=10)
    )
    changed = client.get(API, headers=known)
    assert changed.status_code == 200
    assert changed.json()["numbers"]["requests"]["value"] == 3
    assert changed["ETag"] != first["ETag"]


def _keys(value: Any, path: str = "") -> set[str]:
    if not isinstance(value, dict):
        return {path}
    return {key for name, inner in value.items() for key in _keys(inner, f"{path}.{name}")}


def _example() -> dict[str, Any]:
    (text,) = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text("utf-8"), flags=re.DOTALL)
    example: dict[str, Any] = json.loads(text)
    return example


def test_the_documented_example_has_the_same_keys(client: Client) -> None:
    document, example = api_document(client, 7, **TOKEN), _example()
    assert list(example) == list(document)
    for part in ("numbers", "metrics", "series"):
        assert example[part]
        assert {key: example[part][key] for key in example[part]}.keys() <= document[part].keys()
        document[part] = {key: document[part][key] for key in example[part]}
    assert _keys(document) == _keys(example)
    for part in ("numbers", "metrics"):
        for key, number in example[part].items():
            actual = document[part][key]
            assert (number["unit"], number["definition"]) == (actual["unit"], actual["definition"])
    assert example["now"].keys() == document["now"].keys()


def test_the_metrics_of_the_guide_are_the_numbers_under_its_names(client: Client) -> None:
    empty = api_document(client, 7, **TOKEN)["metrics"]
    assert list(empty) == list(METRIC_TYPES)
    assert {key: metric["value"] for key, metric in empty.items()} == {
        "orders_per_day": 0,
        "error_rate": None,
        "refunds_per_day": 0,
        "payment_success_rate": None,
        "avg_response_time": None,
        "circuit_breaker_state": "CLOSED",
        "stock_conflicts": 0,
        "throttled_requests": 0,
    }
    for kind, value, metadata in (
        ("error_rate", 25, {"count": 8, "errors": 2}),
        ("avg_response_time", 40, {"count": 8}),
        ("stock_conflicts", 1, {}),
        ("throttled_requests", 1, {"scope": "login"}),
    ):
        Metric.objects.create(
            metric_type=kind, value=value, metadata=metadata, timestamp=NOW.replace(second=10)
        )
    CircuitBreaker.objects.update_or_create(
        name=BREAKER, defaults={"state": "open", "opened_at": NOW}
    )
    document = api_document(client, 4, **TOKEN)
    metrics = {
        key: (metric["value"], metric["unit"]) for key, metric in document["metrics"].items()
    }
    assert metrics == {
        "orders_per_day": (0, "orders/day"),
        "error_rate": (25, "%"),
        "refunds_per_day": (0, "refunds/day"),
        "payment_success_rate": (None, "%"),
        "avg_response_time": (40, "ms"),
        "circuit_breaker_state": ("OPEN", "state"),
        "stock_conflicts": (1, "checkouts"),
        "throttled_requests": (1, "requests"),
    }
    assert {frozenset(metric) for metric in document["metrics"].values()} == {
        frozenset({"value", "unit", "definition"})
    }


@pytest.mark.parametrize(("state", "shown"), [("closed", "CLOSED"), ("half_open", "HALF_OPEN")])
def test_the_state_of_the_breaker_is_that_of_now(client: Client, state: str, shown: str) -> None:
    opened_at = None if state == "closed" else NOW
    CircuitBreaker.objects.update_or_create(
        name=BREAKER, defaults={"state": state, "opened_at": opened_at}
    )
    metrics = api_document(client, 1, **TOKEN)["metrics"]
    assert metrics["circuit_breaker_state"]["value"] == shown


def test_every_number_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)`: (.+) \| (\S+) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    age = in_words(THRESHOLDS.unknown_payments.most_age_seconds)
    assert rows == [
        (metric.key, metric.described.replace(age, NAMED), metric.unit)
        for metric in MEASURES.values()
    ] + [(metric.name, metric.definition, metric.unit) for metric in GUIDE]


def test_the_state_is_that_of_the_worst_problem(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail.health.registered", {})
    monkeypatch.setattr("retail.health._harms", {})
    document = api_document(client, 7, **TOKEN)
    assert (document["state"], document["problems"]) == ("good", [])
    health_check("Slow part")(lambda _: Finding("warn", "slow", "For 3 s."))
    document = api_document(client, 7, **TOKEN)
    slow = {"name": "Slow part", "state": "warn", "since": None}
    assert (document["state"], document["problems"]) == ("warn", [slow])
    health_check("Broken part")(lambda now: Finding("bad", "off", "For 9 s.", since=now))
    document = api_document(client, 7, **TOKEN)
    broken = {"name": "Broken part", "state": "bad", "since": "2026-03-02T12:00:30Z"}
    assert (document["state"], document["problems"]) == ("bad", [broken, slow])

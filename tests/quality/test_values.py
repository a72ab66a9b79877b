"""What `record_metric` is given is what page, API and scenarios show, before and after rollups."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from quality.scenario import Verdict
from quality.selectors import evaluations
from retail.history import rollups
from retail.models import Metric
from retail.observability import record_metric
from retail.observability.rows.recorder import recorder
from tests.dashboards.support import api_document, cards, values
from tests.quality.support import audited, measure

pytestmark = pytest.mark.django_db

Shown = Callable[[], dict[str, Any]]


@pytest.fixture(params=["rows", "rollups"])
def shown(request: pytest.FixtureRequest, staff: Client) -> Shown:
    """Return a function that stores what was recorded and returns the API's numbers."""

    def read() -> dict[str, Any]:
        recorder.flush()
        if request.param == "rollups":
            Metric.objects.update(timestamp=F("timestamp") - timedelta(minutes=5))
            rollups.roll_up(timezone.now())
            Metric.objects.all().delete()
        return values(api_document(staff, days=1))

    return read


def verdict(scenario_id: str) -> Any:
    results = evaluations(1, timezone.now())
    return next(result for scenario, result in results.items() if scenario.id == scenario_id)


@pytest.mark.parametrize(
    ("recorded", "number"),
    [
        ([0], 0),
        ([7], 7),
        ([1, 1], 2),
        ([0, 3, 1], 4),
        ([2] * 30, 60),  # most of them folded
    ],
)
def test_conflicts_are_the_sum_of_the_values(
    shown: Shown, staff: Client, recorded: list[float], number: int
) -> None:
    audited()
    for value in recorded:
        record_metric("stock_conflicts", value)
    assert shown() == ({"stock_conflicts": number} if number else {})
    result = verdict("A1")
    assert measure(result, "Stock conflicts").value == number
    assert (result.verdict == Verdict.FAIL) == (number > 0)
    assert cards(staff)["Stock conflicts"].startswith(f"bad: bug {number} " if number else "calm")


def test_throttled_requests_are_the_sum_of_the_values_by_scope(shown: Shown) -> None:
    record_metric("throttled_requests", 0, {"scope": "login"})
    record_metric("throttled_requests", 4, {"scope": "login"})
    record_metric("throttled_requests", 2, {"scope": "checkout", "count": 3})
    expected = {"throttled": 10, "throttled_login": 4, "throttled_checkout": 6}
    assert shown() == expected
    assert measure(verdict("P1"), "Throttled requests").value == 10


def test_no_throttled_requests_are_no_evidence(shown: Shown) -> None:
    record_metric("throttled_requests", 0, {"scope": "login"})
    record_metric("error_rate", 0, {"count": 100})
    record_metric("avg_response_time", 40, {"count": 100})
    assert "throttled" not in shown()
    result = verdict("P1")
    assert result.verdict == Verdict.NO_EVIDENCE
    assert measure(result, "Error rate").value is None


def test_an_error_rate_is_a_share_of_the_requests(shown: Shown) -> None:
    record_metric("error_rate", 0, {"count": 100})
    record_metric("error_rate", 6, {"count": 100})
    assert shown() == {"requests": 200, "errors": 6, "error_rate": 3.0}


def test_a_response_time_is_that_of_each_request(shown: Shown) -> None:
    record_metric("avg_response_time", 40, {"count": 3})
    record_metric("avg_response_time", 80)
    numbers = shown()
    assert numbers.pop("response_p50") == pytest.approx(25 + 25 * 2 / 3)
    assert (numbers.pop("response_p95"), numbers.pop("response_p99")) == (80, 80)
    assert numbers == {"response_avg": 50.0}


def test_a_breaker_state_is_an_attempt_in_it(shown: Shown) -> None:
    record_metric("circuit_breaker_state", 0)
    record_metric("circuit_breaker_state", 2)
    record_metric("circuit_breaker_state", 2, {"count": 4})
    record_metric("circuit_breaker_state", 2, {"state": "OPEN", "transition": True})
    assert shown() == {"held_back": 5, "breaker_openings": 1}


def test_orders_and_payments_come_from_their_own_tables(shown: Shown) -> None:
    record_metric("orders_per_day", 5)
    record_metric("payment_success_rate", 50, {"count": 2})
    assert shown() == {}

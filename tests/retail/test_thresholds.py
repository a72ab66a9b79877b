"""Thresholds are read from one file; mistakes in it prevent the start."""

import pytest

from orders.metrics import CHECKOUT_DURATION
from retail.observability.prometheus import catalogue
from retail.thresholds import FILE, THRESHOLDS, Burn, ThresholdsError, in_words, load

TEXT = FILE.read_text(encoding="utf-8")


def test_the_thresholds_match_the_documented_objectives() -> None:
    assert load(TEXT) == THRESHOLDS
    assert THRESHOLDS.error_rate.most_ratio == 0.05
    assert THRESHOLDS.payment_success.least_ratio == 0.95
    assert THRESHOLDS.payment_success.least_payments == 20
    assert THRESHOLDS.fast_fail.most_seconds == 0.1
    assert THRESHOLDS.stock_conflicts.most_conflicts == 0
    assert THRESHOLDS.oversold.most_units == 0
    assert THRESHOLDS.unknown_payments.most_age_seconds == 15 * 60
    assert THRESHOLDS.slo.checkout_objective_ratio == 0.995
    assert THRESHOLDS.slo.burns == (
        Burn(14.4, 3600, 300, "critical"),
        Burn(6.0, 6 * 3600, 1800, "critical"),
        Burn(3.0, 24 * 3600, 2 * 3600, "ticket"),
        Burn(1.0, 72 * 3600, 6 * 3600, "ticket"),
    )


def test_time_thresholds_are_bucket_bounds_of_their_histograms() -> None:
    assert THRESHOLDS.slo.checkout_most_seconds in CHECKOUT_DURATION.buckets
    assert THRESHOLDS.fast_fail.most_seconds in catalogue.FAST_FAIL_DURATION.buckets
    assert THRESHOLDS.response_time.warning_seconds in catalogue.HTTP_DURATION.buckets
    assert THRESHOLDS.response_time.most_seconds in catalogue.HTTP_DURATION.buckets


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("most_units = 0 ", "most_unit = 0 ", "missing or unknown: oversold.most_unit, "),
        ("[oversold]", "[over]", "missing or unknown: over, oversold"),
        ("most_ratio = 0.05", "most_ratio = 5", "error_rate.most_ratio = 5 is out of range"),
        (
            "most_ratio = 0.05",
            "most_ratio = -0.05",
            "error_rate.most_ratio = -0.05 is out of range",
        ),
        (
            "most_ratio = 0.05",
            'most_ratio = "5 %"',
            "error_rate.most_ratio = '5 %' has the wrong type",
        ),
        (
            "least_requests = 20",
            "least_requests = true",
            "least_requests = True has the wrong type",
        ),
        ("least_requests = 20", "least_requests = 2.5", "least_requests = 2.5 has the wrong type"),
        (
            'severity = "ticket"',
            'severity = "page"',
            "slo.burns.severity = 'page' has the wrong type",
        ),
        (
            'severity = "ticket"',
            'severity = "warning"',
            "slo.burns.severity = 'warning' has the wrong type or an unknown value",
        ),
        ("factor = 1.0", "", "missing or unknown: slo.burns.factor"),
    ],
)
def test_an_invalid_file_is_rejected(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(ThresholdsError) as refused:
        load(TEXT.replace(old, new, 1))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (30, "30 seconds"),
        (60, "1 minute"),
        (90, "90 seconds"),
        (900, "15 minutes"),
        (3600, "1 hour"),
        (5400, "90 minutes"),
        (86_400, "1 day"),
        (2_592_000, "30 days"),
        (0.5, "0.5 seconds"),
        (0, "0 seconds"),
    ],
)
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_every_threshold_has_a_unit() -> None:
    seen = 0
    for line in TEXT.splitlines():
        name, equals, _ = line.partition(" = ")
        if equals and not line.startswith("#") and name != "severity":
            seen += 1
            unit = name.rpartition("_")[2]
            assert unit in {
                "ratio", "seconds", "requests", "payments", "conflicts", "units", "violations",
                "failures", "lines", "events", "factor", "restarts", "responses", "products",
                "rows",
            }, name  # fmt: skip
    assert seen > 20

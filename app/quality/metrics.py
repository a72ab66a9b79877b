"""The quality scenarios' metric."""

from quality.catalogue import SCENARIOS
from retail.observability.prometheus.instruments import DatabaseGauge
from retail.thresholds import THRESHOLDS, in_words

SCENARIO_PASSING = DatabaseGauge(
    "retail_quality_scenario_passing",
    "1 if a quality scenario's last verdict is PASS, 0 if it is FAIL. Absent without evidence, "
    f"without a verdict in the last {in_words(THRESHOLDS.quality_scenarios.keep_seconds)}, and for "
    "scenarios that are verified by tests.",
    {"scenario": tuple(scenario.id for scenario in SCENARIOS)},
)

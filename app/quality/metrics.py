"""The metric of the quality scenarios."""

from quality.catalogue import SCENARIOS
from retail.observability.prometheus.instruments import DatabaseGauge
from retail.thresholds import THRESHOLDS, in_words

SCENARIO_PASSING = DatabaseGauge(
    "retail_quality_scenario_passing",
    "1 while a quality scenario's last verdict is a pass, 0 while it is a fail; absent without "
    "evidence, without a verdict in the last "
    f"{in_words(THRESHOLDS.quality_scenarios.keep_seconds)}, and for those that tests prove.",
    {"scenario": tuple(scenario.id for scenario in SCENARIOS)},
)

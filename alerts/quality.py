"""Quality scenarios. The worker evaluates them every minute over the last day."""

from alerts.model import SHOP_URL, Alert, Group
from alerts.queries import last_known
from retail.thresholds import THRESHOLDS, in_words

LIMITS = THRESHOLDS.quality_scenarios

VERDICTS = last_known(
    "service:retail_quality_scenario_passing:last",
    "max by (scenario) (retail_quality_scenario_passing)",
)
# The causes have their own alerts, which page. This one tracks that the objective is still missed.
SCENARIO_FAILING = Alert(
    name="RetailQualityScenarioFailing",
    expr="service:retail_quality_scenario_passing:last == 0",
    for_seconds=LIMITS.for_seconds,
    severity="ticket",
    service="shop",
    summary="Quality scenario {{ $labels.scenario }} is failing",
    description="The scenario, evaluated over the last day, has been failing for "
    f"{in_words(LIMITS.for_seconds)}. It passes again once the cause is more than a day old; "
    "without new evidence, the last verdict counts. First steps:",
    steps=(
        (
            f"Open {SHOP_URL}/metrics/quality-scenarios/. It shows which measure is out of bounds, "
            "by how much and since when, with the queries."
        ),
        (
            "If the shop is down, use the dashboard linked here. docs/QS-Catalog.md describes the "
            "scenario."
        ),
        "Follow the runbooks that the scenario lists.",
    ),
    dashboard="retail-shop",
    logs=(("var-level", "ERROR"), ("var-level", "WARNING")),
)

GROUPS = (Group("retail_quality", (VERDICTS, SCENARIO_FAILING)),)

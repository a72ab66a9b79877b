"""The quality scenarios, as the worker judges them every minute over a day."""

from alerts.model import SHOP_URL, Alert, Group, span
from retail.thresholds import THRESHOLDS

LIMITS = THRESHOLDS.quality_scenarios

# The causes have alerts of their own, which wake somebody; this says that a promise stays broken.
SCENARIO_FAILING = Alert(
    name="RetailQualityScenarioFailing",
    expr="max by (scenario) (last_over_time(retail_quality_scenario_passing"
    f"[{span(LIMITS.gap_seconds)}])) == 0",
    for_seconds=LIMITS.for_seconds,
    severity="ticket",
    service="shop",
    summary="Quality scenario {{ $labels.scenario }} fails",
    description="Over the last day the shop did not keep this promise, and it was judged so for "
    f"{span(LIMITS.for_seconds)}. It passes again when the day that is looked at no longer holds "
    "what broke it. First steps:",
    steps=(
        (
            f"{SHOP_URL}/metrics/quality-scenarios/ shows which measure is broken, by how much "
            "and since when, with the queries behind it."
        ),
        (
            "The shop is down: the same is on the dashboard below, and docs/QS-Catalog.md says "
            "what the scenario promises."
        ),
        "Go on with the runbook that the scenario names, for what broke it.",
    ),
    dashboard="retail-shop",
    logs=(("var-level", "ERROR"),),
)

GROUPS = (Group("retail_quality", (SCENARIO_FAILING,)),)

"""All quality scenarios, in the order of docs/QS-Catalog.md: by quality, then by number."""

from quality import runtime_scenarios, tested_scenarios
from quality.scenario import QUALITIES, Scenario

_DECLARED = [*vars(runtime_scenarios).values(), *vars(tested_scenarios).values()]
SCENARIOS = tuple(
    sorted(
        (value for value in _DECLARED if isinstance(value, Scenario)),
        key=lambda scenario: (list(QUALITIES).index(scenario.id[0]), int(scenario.id[1:])),
    )
)
EVALUATED = tuple(scenario for scenario in SCENARIOS if scenario.evaluate is not None)

"""All quality scenarios, in the order of docs/QS-Catalog.md: by quality, then by number."""

from quality import runtime_scenarios, tested_scenarios
from quality.scenario import QUALITIES, Scenario

_DECLARED = [*vars(runtime_scenarios).values(), *vars(tested_scenarios).values()]
SCENARIOS = tuple(
    sorted(
        (one for one in _DECLARED if isinstance(one, Scenario)),
        key=lambda one: (list(QUALITIES).index(one.id[0]), int(one.id[1:])),
    )
)
JUDGED = tuple(one for one in SCENARIOS if one.judge is not None)

"""All quality scenarios, in the order of the page and of docs/QS-Catalog.md."""

from quality.runtime_scenarios import A1, A2, P1, P2
from quality.tested_scenarios import I1, I2, M1, M2, S1, S2, T1, T2, U1, U2

SCENARIOS = (A1, A2, S1, S2, M1, M2, P1, P2, I1, I2, T1, T2, U1, U2)
EVALUATED = tuple(scenario for scenario in SCENARIOS if scenario.evaluate is not None)

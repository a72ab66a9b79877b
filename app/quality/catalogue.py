"""All quality scenarios, in the order in which they are told (docs/QS-Catalog.md)."""

from quality.runtime_scenarios import A1, A2, P1, P2
from quality.tested_scenarios import I1, I2, M1, M2, S1, S2, T1, T2, U1, U2

SCENARIOS = (A1, A2, S1, S2, M1, M2, P1, P2, I1, I2, T1, T2, U1, U2)
JUDGED = tuple(one for one in SCENARIOS if one.judge is not None)

"""Declaration of invariants.

    @invariant("confirmed_sale_is_paid_once", recheck=paid_wrongly_of)
    def confirmed_sale_is_paid_once(checkpoint: Checkpoint) -> Iterator[Part]: ...

A scan starts at the checkpoint of an earlier one and yields what it finds in parts. Each part is
read by bounded statements and carries the checkpoint from which the next scan may start. The empty
checkpoint is the beginning, so a full audit is the same scan from there. A checkpoint stays valid
for ever: it never lies beyond a row that may still change or appear (`settled_before`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from retail.observability.prometheus.catalogue import INVARIANTS

OVERSOLD = "sold_within_offered"  # its amounts are a gauge of their own

Checkpoint = dict[str, Any]
"""How far a scan has got: any JSON object."""


class NotCheckedError(Exception):
    """The counterpart that an invariant is checked against did not answer."""


class Violation(NamedTuple):
    """One broken invariant: the row, how it is broken, and by how many units (if countable)."""

    subject: str
    detail: str
    amount: int = 1


class Part(NamedTuple):
    """Result of one part of a scan, and where a later scan may start."""

    checked: int
    violations: Sequence[Violation]
    checkpoint: Checkpoint


Scan = Callable[[Checkpoint], Iterator[Part]]
Recheck = Callable[[list[str]], Iterable[Violation]]


@dataclass(frozen=True)
class Invariant:
    """One invariant.

    `recheck` returns which of some subjects still violate it. Without it, every scan covers all
    rows.
    """

    name: str
    scan: Scan
    recheck: Recheck | None


declared: dict[str, Invariant] = {}


def invariant(name: str, *, recheck: Recheck | None = None) -> Callable[[Scan], Scan]:
    """Declare an invariant and the function that scans for violations of it."""

    def declare(scan: Scan) -> Scan:
        declared[name] = Invariant(name, scan, recheck)
        INVARIANTS.add(name)
        return scan

    return declare

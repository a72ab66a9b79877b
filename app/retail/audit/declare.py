"""Declaration of invariants.

    @invariant("confirmed_sale_is_paid_once", recheck=paid_wrongly_of)
    def confirmed_sale_is_paid_once(checkpoint: Checkpoint) -> Iterator[Part]: ...

A scan starts at the checkpoint of an earlier one and yields its results in parts. Each part is read
by bounded statements and carries the checkpoint from which the next scan may start. A full audit is
the same scan from the empty checkpoint. Checkpoints never expire: none lies beyond a row that may
still change or appear (`settled_before`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from retail.observability.prometheus.catalogue import INVARIANTS

OVERSOLD = "sold_within_offered"  # the sum of its amounts is exported as a separate gauge

Checkpoint = dict[str, Any]
"""Progress of a scan, as a JSON object."""


class NotCheckedError(Exception):
    """The external system that an invariant is checked against did not respond."""


class Violation(NamedTuple):
    """One broken invariant: the row, how it is broken, and by how many units (if countable)."""

    subject: str
    detail: str
    amount: int = 1


class Part(NamedTuple):
    """Result of one part of a scan, and the checkpoint for a later scan."""

    checked: int
    violations: Sequence[Violation]
    checkpoint: Checkpoint


Scan = Callable[[Checkpoint], Iterator[Part]]
Recheck = Callable[[list[str]], Iterable[Violation]]


@dataclass(frozen=True)
class Invariant:
    """A declared invariant.

    `recheck` returns those of the given subjects that still violate it. Without `recheck`, every
    scan covers all rows.
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

"""Declaration of invariants.

    @invariant("charge_has_payment", recheck=charge_has_payment_of)
    def charge_has_payment(checkpoint: Checkpoint) -> Iterator[Part]: ...

A scan starts at the checkpoint of an earlier one and yields its results in parts. Each part is read
by bounded statements and carries the checkpoint from which the next scan may start. Checkpoints
never expire: none lies beyond a row that may still appear (`settled_before`). Rows before it are
found by the full scan, the same scan from the empty checkpoint: it begins again `full_every`, and
continues in each run of the audit until it has reached the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from retail.observability.prometheus.catalogue import INVARIANTS

OVERSOLD = "sold_within_offered"  # the sum of its amounts is exported as a separate gauge
MOST_OPEN = 10_000  # a scan stops at this many open violations of one invariant
EACH_RUN, EACH_DAY = timedelta(0), timedelta(days=1)

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
    """Result of one part of a scan, and the checkpoint for a later scan.

    `end` means that almost nothing is left to do, so that the scan is not interrupted here.
    """

    checked: int
    violations: Sequence[Violation]
    checkpoint: Checkpoint
    end: bool = False


Scan = Callable[[Checkpoint], Iterator[Part]]
Recheck = Callable[[list[str]], Iterable[Violation]]


@dataclass(frozen=True)
class Invariant:
    """A declared invariant.

    `recheck` returns those of the given subjects that still violate it. Without `recheck`, a scan
    from a checkpoint finds all violations too. With `full_every` None, every scan is a full one.
    `since_backup`: a restored database violates it through what has happened since its backup.
    """

    name: str
    scan: Scan
    recheck: Recheck | None = None
    full_every: timedelta | None = EACH_DAY
    since_backup: bool = False


declared: dict[str, Invariant] = {}


def invariant(
    name: str,
    *,
    recheck: Recheck | None = None,
    full_every: timedelta | None = EACH_DAY,
    since_backup: bool = False,
) -> Callable[[Scan], Scan]:
    """Declare an invariant and the function that scans for violations of it."""

    def declare(scan: Scan) -> Scan:
        declared[name] = Invariant(name, scan, recheck, full_every, since_backup)
        INVARIANTS.add(name)
        return scan

    return declare

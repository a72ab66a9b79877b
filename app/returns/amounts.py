"""Divide what was paid among lines and units, in cents.

Shares are taken of a cumulated quantity: what k of n units are worth is rounded once, and a return
is worth the difference of two such values. So the parts of any split, in any order, sum to the
whole.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CENT = Decimal("0.01")


def to_cents(amount: Decimal) -> int:
    """Return an amount in cents. Raises ValueError for fractions of a cent."""
    cents = amount / CENT
    if cents != int(cents):
        raise ValueError(f"{amount} is not a whole number of cents")
    return int(cents)


def from_cents(cents: int) -> Decimal:
    """Return cents as an amount."""
    return cents * CENT


def line_shares(paid: Decimal, lines: Sequence[Decimal]) -> list[Decimal]:
    """Divide what was paid among lines in proportion to their totals, by largest remainder.

    Each share is the line's exact share, rounded down or up to the cent; the shares sum to `paid`.
    Remainders that are equal go to earlier lines. Raises ValueError if the lines sum to nothing
    but something was paid.
    """
    weights = [to_cents(line) for line in lines]
    total, cents = sum(weights), to_cents(paid)
    if not total:
        if cents:
            raise ValueError("lines without a price have no share of what was paid")
        return [from_cents(0) for _ in lines]
    shares = [cents * weight // total for weight in weights]
    by_remainder = sorted(range(len(lines)), key=lambda n: (-(cents * weights[n] % total), n))
    for place in by_remainder[: cents - sum(shares)]:
        shares[place] += 1
    return [from_cents(share) for share in shares]


def units_share(line: Decimal, quantity: int, units: int, before: int = 0) -> Decimal:
    """Return what `units` of a line of `quantity` are worth, after `before` others of it.

    Raises ValueError if the line does not have so many units.
    """
    if min(units, before) < 0 or before + units > quantity:
        raise ValueError(f"{before} + {units} of {quantity} units")
    cents = to_cents(line)

    def cumulated(count: int) -> int:
        return (2 * cents * count + quantity) // (2 * quantity)  # rounded half up

    return from_cents(cumulated(before + units) - cumulated(before))

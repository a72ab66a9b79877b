"""What was paid is divided among lines and units without a cent lost or made."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from returns.amounts import from_cents, line_shares, to_cents, units_share

CENTS = st.integers(1, 10_000_00)
LINES = st.lists(st.tuples(CENTS, st.integers(1, 30)), min_size=1, max_size=6)
D = Decimal


@settings(max_examples=10_000)
@given(lines=LINES, discount=st.floats(0, 1), seed=st.integers())
def test_all_parts_of_an_order_sum_to_what_was_paid(
    lines: list[tuple[int, int]], discount: float, seed: int
) -> None:
    """Orders with any prices, of which a part was paid, returned in any order and any split."""
    totals = [from_cents(price * quantity) for price, quantity in lines]
    paid = from_cents(round(to_cents(sum(totals, D(0))) * (1 - discount)))
    shares = line_shares(paid, totals)
    assert sum(shares) == paid
    whole = sum(totals)
    for total, share in zip(totals, shares, strict=True):
        exact = Fraction(paid) * Fraction(total) / Fraction(whole)
        assert abs(Fraction(share) - exact) < Fraction(1, 100)  # rounded to a neighbouring cent
    chance = random.Random(seed)  # noqa: S311 - not for security
    units = [line for line, (_, quantity) in enumerate(lines) for _ in range(quantity)]
    chance.shuffle(units)
    returned, before = D(0), [0] * len(lines)
    while units:
        part = [units.pop() for _ in range(min(len(units), chance.randint(1, 5)))]
        for line in set(part):
            count = part.count(line)
            worth = units_share(shares[line], lines[line][1], count, before[line])
            assert worth >= 0
            returned += worth
            before[line] += count
    assert returned == paid


@given(line=CENTS, quantity=st.integers(1, 50), data=st.data())
def test_units_are_worth_their_share_to_the_cent(
    line: int, quantity: int, data: st.DataObject
) -> None:
    before = data.draw(st.integers(0, quantity))
    units = data.draw(st.integers(0, quantity - before))
    worth = units_share(from_cents(line), quantity, units, before)
    assert abs(Fraction(worth) - Fraction(line * units, 100 * quantity)) <= Fraction(1, 100)


def test_the_largest_remainders_get_the_cents() -> None:
    assert line_shares(D("10.00"), [D("3.33"), D("3.33"), D("3.34")]) == [
        D("3.33"),
        D("3.33"),
        D("3.34"),
    ]
    assert line_shares(D("1.00"), [D(1), D(1), D(1)]) == [D("0.34"), D("0.33"), D("0.33")]
    # 0.667 and 1.333: the first remainder is the larger one.
    assert line_shares(D("0.02"), [D(1), D(2)]) == [D("0.01"), D("0.01")]
    assert line_shares(D(0), [D(0), D(0)]) == [D(0), D(0)]


def test_three_units_of_ten_euros() -> None:
    each = [units_share(D("10.00"), 3, 1, before) for before in range(3)]
    assert each == [D("3.33"), D("3.34"), D("3.33")]
    assert units_share(D("10.00"), 3, 2, 0) == D("6.67")


@pytest.mark.parametrize(("units", "before"), [(4, 0), (1, 3), (-1, 2), (1, -1)])
def test_units_that_the_line_does_not_have(units: int, before: int) -> None:
    with pytest.raises(ValueError, match="of 3 units"):
        units_share(D("10.00"), 3, units, before)


def test_what_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="whole number of cents"):
        to_cents(D("0.001"))
    with pytest.raises(ValueError, match="without a price"):
        line_shares(D("0.01"), [D(0)])

"""Statistics of the benchmarks' tables: percentiles, intervals, verdicts."""

import pytest

from benchmarks.support.tables import Spread, figure, markdown, percentile, ratios
from benchmarks.support.targets import Target, interval, targets_table, with_interval


def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    shares = (0, 0.5, 0.95, 0.99, 0.991, 1)
    assert [percentile(values, share) for share in shares] == [1, 50, 95, 99, 100, 100]
    assert percentile([7.0], 0.99) == 7


def test_ratios_are_of_runs_in_the_same_round() -> None:
    assert ratios([10, 30, 60], [5, 10, 30]).values == (2, 3, 2)


@pytest.mark.parametrize(
    ("count", "lowest", "highest"),
    [
        # The largest k of which the k-th lowest to the k-th highest hold the median in 95 of 100
        # samples: 2 P(Binomial(n, 1/2) < k) ≤ 0.05. Statistical tables have the same ranks.
        (6, 1, 6),
        (8, 1, 8),
        (9, 2, 8),
        (11, 2, 10),
        (12, 3, 10),
        (15, 4, 12),
        (16, 4, 13),
        (17, 5, 13),
        (20, 6, 15),
        (25, 8, 18),
    ],
)
def test_the_interval_of_the_median_has_the_ranks_of_the_binomial_distribution(
    count: int, lowest: int, highest: int
) -> None:
    assert interval([float(rank) for rank in range(count, 0, -1)]) == (lowest, highest)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_interval_of_few_values_is_their_range(count: int) -> None:
    assert interval([float(rank) for rank in range(1, count + 1)]) == (1, count)


def _six(lowest: float, highest: float) -> Spread:
    return Spread((lowest, lowest, lowest, highest, highest, highest))


@pytest.mark.parametrize(
    ("sign", "lowest", "highest", "verdict"),
    [
        ("≥", 10, 11, "met"),
        ("≥", 9.9, 11, "cannot tell"),
        ("≥", 8, 9.9, "not met"),
        ("≤", 9, 10, "met"),
        ("≤", 9, 10.1, "cannot tell"),
        ("≤", 10.1, 12, "not met"),
        ("<", 9, 9.9, "met"),
        ("<", 9, 10, "cannot tell"),
        ("<", 10, 12, "not met"),
    ],
)
def test_a_verdict_needs_the_whole_interval(
    sign: str, lowest: float, highest: float, verdict: str
) -> None:
    assert Target("", sign, 10).verdict(_six(lowest, highest)) == verdict  # type: ignore[arg-type]


def test_no_verdict_from_fewer_than_six_values() -> None:
    assert Target("", "≥", 1).verdict(Spread((5, 5, 5, 5, 5))) == "cannot tell"
    assert Target("", "≥", 1).verdict(Spread((5, 5, 5, 5, 5, 5))) == "met"


def test_one_value_of_many_does_not_change_the_verdict() -> None:
    values = (*[4.0] * 16, 13.0)
    assert Target("", "≤", 5).verdict(Spread(values)) == "met"


def test_the_table_has_target_interval_and_verdict() -> None:
    measured = Spread((3, 4, 4, 4, 4, 6))
    assert targets_table([(Target("Page: added", "≤", 5, " %"), measured)]).splitlines() == [
        "|             | target | median (95 % interval) | verdict     |",
        "| ----------- | ------ | ---------------------- | ----------- |",
        "| Page: added | ≤ 5 %  | 4.00 % (3.00..6.00)    | cannot tell |",
    ]
    assert targets_table([]) == ""
    assert with_interval(measured) == "4.00 (3.00..6.00)"


def test_figures_have_three_significant_digits() -> None:
    assert [figure(value) for value in (1234.5, 100, 99.94, 10, 9.994, -0.5)] == [
        "1,234",
        "100",
        "99.9",
        "10.0",
        "9.99",
        "-0.50",
    ]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert markdown(["a", "bbb"], [["cc", "d"]]) == "| a  | bbb |\n| -- | --- |\n| cc | d   |"

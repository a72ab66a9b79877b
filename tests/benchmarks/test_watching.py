"""The cost of monitoring is a paired difference, one value per launch."""

import pytest

from benchmarks.support.tables import Spread
from benchmarks.support.watching import (
    OFF,
    ON,
    Cost,
    Launch,
    added,
    added_percent,
    added_percent_alone,
    by_target,
    costs_table,
    verdicts,
)


def _costs(*own: float, database: float = 0) -> list[Cost]:
    return [Cost(seconds, database) for seconds in own]


def _launch(on: float, prometheus: float, otel: float, *, percent: float = 4) -> Launch:
    page = {OFF: _costs(1000, database=1000), ON: _costs(1000 + 20 * percent, database=1000)}
    bare = {
        OFF: _costs(100),
        ON: _costs(100 + on),
        "django-prometheus": _costs(100 + prometheus),
        "otel-metrics": _costs(100 + otel),
    }
    return {"bare": bare, "product": page, "flash": page, "cart": page}


def test_a_cost_includes_its_share_of_batched_writes() -> None:
    assert Cost(100, 10).plus(Cost(480, 48), 1 / 48) == Cost(110, 11)
    assert Cost(100, 10).both == 110


def test_differences_are_paired_so_that_slow_moments_cancel_out() -> None:
    """The machine slows down turn by turn, while monitoring always adds 30 % and 10 %."""
    off = [Cost(100, 200), Cost(200, 100), Cost(400, 200)]
    on = [Cost(130, 200), Cost(230, 100), Cost(460, 200)]
    launch: Launch = {"flash": {OFF: off, ON: on}}
    assert added(launch, "flash", ON) == 30
    assert added_percent(launch, "flash", ON) == pytest.approx(10)
    assert added_percent_alone(launch, "flash", ON) == pytest.approx(15)


def test_more_work_in_the_database_counts_as_cost() -> None:
    launch: Launch = {"cart": {OFF: [Cost(100, 100)], ON: [Cost(100, 120)]}}
    assert added(launch, "cart", ON) == 0
    assert added_percent(launch, "cart", ON) == pytest.approx(10)
    assert added_percent_alone(launch, "cart", ON) == 0


def test_targets_have_one_value_per_launch() -> None:
    launches = [_launch(20, 50, 200), _launch(30, 50, 100, percent=6)]
    assert [spread.values for _, spread in by_target(launches)] == [
        pytest.approx((0.4, 0.6)),
        pytest.approx((0.1, 0.3)),
        *[pytest.approx((4, 6))] * 3,
    ]


def test_verdicts_of_enough_launches() -> None:
    rows = verdicts([_launch(30, 50, 150)] * 6).splitlines()[2:]
    assert [row.split("|")[-2].strip() for row in rows] == ["not met", "met", "met", "met", "met"]


def test_the_costs_table_has_medians_of_the_launches() -> None:
    launches = [_launch(20, 50, 200), _launch(30, 50, 100), _launch(31, 50, 100)]
    rows = [row.split("|")[3:-1] for row in costs_table(launches).splitlines()[2:]]
    assert [cell.strip() for cell in rows[0]] == ["100", "0.00", "", "", ""]
    interval = "30.0 (20.0..31.0)"
    assert [cell.strip() for cell in rows[1]] == ["130", "0.00", *[interval] * 3]
    assert len(rows) == 4 + 3 * 2
    assert Spread((20, 30, 31)).median == 30

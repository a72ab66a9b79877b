"""The checkout benchmark's tables, from made-up results."""

from benchmarks.support.measurements import MEASUREMENTS, Run, needed
from benchmarks.support.report import comparison, oversold, rates, targets
from benchmarks.support.stage import Plan

ROUNDS = 6


def _results(*, oscar: float = 40, alone: float = 4, half: float = 60) -> dict[str, list[Run]]:
    rates_of = {"hot": 500, "oscar": oscar, "bare": 900, "cart": 300, "sold-out": 1000}
    results = {name: [Run(rate)] * ROUNDS for name, rate in rates_of.items()}
    results["open-alone"] = [Run(450, 2, 3, alone)] * ROUNDS
    results["open-half"] = [Run(480, 5, 20, half)] * ROUNDS
    return results


def _verdicts(table: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.split("|")[2:-1]] for line in table.splitlines()[2:]]
    return [[row[0], row[1].partition(" (")[0], row[2]] for row in rows]


def test_each_target_has_its_ratio_and_verdict() -> None:
    assert _verdicts(targets(_results())) == [
        ["≥ 10", "12.5", "met"],
        ["≥ 0.5", "0.56", "met"],
        ["≥ 6", "7.50", "met"],
        ["≥ 1.8", "2.00", "met"],
        ["< 10 ms", "4.00 ms", "met"],
        ["< 100 ms", "60.0 ms", "met"],
    ]


def test_a_missed_target_is_not_met() -> None:
    verdicts = _verdicts(targets(_results(oscar=60, alone=10, half=100)))
    assert [row[2] for row in verdicts] == [
        "not met",
        "met",
        "not met",
        "met",
        "not met",
        "not met",
    ]


def test_only_measured_configurations_have_targets() -> None:
    results = _results()
    assert _verdicts(targets({"open-half": results["open-half"]})) == [
        ["< 100 ms", "60.0 ms", "met"]
    ]
    assert targets({"hot": results["hot"]}) == ""


def test_rates_have_a_row_for_each_measurement() -> None:
    rows = rates(_results()).splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == [
        MEASUREMENTS[name].title for name in _results()
    ]
    assert [cell.strip() for cell in rows[-1].split("|")[2:-1]] == [
        "480 (480..480)",
        "5.00",
        "20.0",
        "60.0",
    ]


def test_a_ratio_that_changes_more_than_the_spread_of_the_rounds_is_shown() -> None:
    before, after = _results(), _results()
    after["hot"] = [Run(400)] * ROUNDS
    cells = [row.split("|")[-2].strip() for row in comparison(before, after).splitlines()[2:]]
    assert cells == ["by 2.50", "by 0.11", "no", "by 0.50", "no", "no"]


def test_oversold_units_are_listed_by_round() -> None:
    rows = oversold([(0, 6), (0, 2)]).splitlines()[2:]
    assert [row.split("|")[2].strip() for row in rows] == ["0, 0", "6, 2"]


def test_the_open_loop_has_buyers_for_half_as_many_requests_as_the_closed_one() -> None:
    plan = Plan(workers=2, threads=8, clients=32, seconds=4, rounds=2)
    wanted = needed(plan, ["open-half", "oscar"], "shop")
    assert [(run.name, run.buyers) for run in wanted] == [
        ("open-half-0", 1200),
        ("open-half-1", 1200),
    ]

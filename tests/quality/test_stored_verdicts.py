"""The verdicts that the worker stores, and how Prometheus and the trend use them."""

from datetime import datetime, timedelta

import pytest
from pytest_django import Settings

from quality.catalogue import EVALUATED
from quality.metrics import SCENARIO_PASSING
from quality.models import VerdictInterval
from quality.runtime_scenarios import A1, A2
from quality.scenario import Evaluation, Evidence, Measure, Scenario, Verdict, evaluate
from quality.selectors import Board, ShownScenario, board, read_passing
from quality.services import verdicts_prune, verdicts_store
from quality.tasks import judge_scenarios
from tests.quality.support import MINUTE, NOON, ago, orders
from tests.retail.conftest import Lines, lines

__all__ = ["lines"]

pytestmark = pytest.mark.django_db
TOP = NOON.replace(second=0)


def store(minutes: float, **verdicts: Verdict) -> int:
    """Store verdicts so many minutes before noon."""
    scenarios = {scenario.id: scenario for scenario in (A1, A2)}
    evaluations = {
        scenarios[name]: Evaluation(
            verdict, (Measure("Of", minutes, "", "1", verdict == Verdict.PASS),)
        )
        for name, verdict in verdicts.items()
    }
    return verdicts_store(evaluations=evaluations, now=ago(minutes))


def stored(scenario: str = "A2") -> list[tuple[str, float, float]]:
    """Return a scenario's intervals: verdict, start and end in minutes before noon."""
    return [
        (interval.verdict, (TOP - interval.since) / MINUTE, (TOP - interval.until) / MINUTE)
        for interval in VerdictInterval.objects.filter(scenario=scenario).order_by("since")
    ]


def passing(monkeypatch: pytest.MonkeyPatch, now: datetime) -> dict[tuple[str, ...], float]:
    monkeypatch.setattr("quality.selectors.timezone.now", lambda: now)
    return dict(read_passing()[SCENARIO_PASSING])


def shown(board: Board, scenario: str) -> ShownScenario:
    (match,) = [shown for shown in board.shown if shown.scenario.id == scenario]
    return match


def test_the_same_verdict_extends_the_interval_and_another_starts_a_new_one() -> None:
    for minutes in (10, 9, 8):
        store(minutes, A2=Verdict.PASS)
    assert store(7, A2=Verdict.FAIL) == 1
    store(6, A2=Verdict.FAIL)
    assert store(5, A2=Verdict.PASS) == 0
    assert stored() == [("PASS", 10, 8), ("FAIL", 7, 6), ("PASS", 5, 5)]
    last = VerdictInterval.objects.order_by("since").last()
    assert last is not None
    assert last.measures == [
        {
            "name": "Of",
            "value": 5,
            "unit": "",
            "promise": "1",
            "kept": True,
            "note": "",
            "required": True,
        }
    ]


def test_scenarios_are_stored_separately() -> None:
    store(3, A1=Verdict.PASS, A2=Verdict.PASS)
    store(2, A1=Verdict.PASS, A2=Verdict.FAIL)
    assert stored("A1") == [("PASS", 3, 2)]
    assert stored("A2") == [("PASS", 3, 3), ("FAIL", 2, 2)]


def test_evaluating_twice_in_a_minute_stores_the_last_verdict() -> None:
    store(3, A2=Verdict.PASS)
    store(2, A2=Verdict.PASS)
    store(2, A2=Verdict.PASS)
    assert stored() == [("PASS", 3, 2)]
    store(1, A2=Verdict.PASS)
    store(1, A2=Verdict.FAIL)
    store(1, A2=Verdict.FAIL)
    assert stored() == [("PASS", 3, 1), ("FAIL", 1, 1)]


def test_the_result_of_an_overtaken_worker_is_dropped() -> None:
    store(3, A2=Verdict.PASS)
    store(1, A2=Verdict.PASS)
    store(2, A2=Verdict.FAIL)
    assert stored() == [("PASS", 3, 1)]


def test_time_without_a_worker_is_a_gap() -> None:
    store(40, A2=Verdict.PASS)
    store(30, A2=Verdict.PASS)
    store(19, A2=Verdict.PASS)
    assert stored() == [("PASS", 40, 30), ("PASS", 19, 19)]


def test_intervals_are_pruned_by_their_end() -> None:
    store(70, A1=Verdict.PASS, A2=Verdict.PASS)
    store(61, A1=Verdict.PASS)
    assert verdicts_prune(before=TOP - 61 * MINUTE) == 1
    assert stored("A1") == [("PASS", 70, 61)]
    assert stored("A2") == []


def test_the_job_evaluates_a_day_and_may_run_twice(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr("quality.tasks.timezone.now", lambda: NOON)
    settings.METRIC_KEEP_DAYS = 2
    store(2 * 24 * 60 + 1, A2=Verdict.FAIL)
    orders(20)
    assert judge_scenarios() == 0
    assert judge_scenarios() == 0
    assert list(
        VerdictInterval.objects.order_by("scenario").values_list(
            "scenario", "verdict", "since", "until"
        )
    ) == [
        ("A1", "NO EVIDENCE", TOP, TOP),
        ("A2", "PASS", TOP, TOP),
        ("I1", "NO EVIDENCE", TOP, TOP),
        ("I2", "NO EVIDENCE", TOP, TOP),
        ("P1", "NO EVIDENCE", TOP, TOP),
        ("P2", "NO EVIDENCE", TOP, TOP),
    ]
    orders(2, 5, status="FAILED")
    monkeypatch.setattr("quality.tasks.timezone.now", lambda: NOON + MINUTE)
    assert judge_scenarios() == 1
    assert stored() == [("PASS", 0, 0), ("FAIL", -1, -1)]
    assert stored("A1") == [("NO EVIDENCE", 0, -1)]


def test_only_passes_and_fails_are_exported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert passing(monkeypatch, NOON) == {}
    store(2, A1=Verdict.PASS, A2=Verdict.FAIL)
    assert passing(monkeypatch, NOON) == {("A1",): 1.0, ("A2",): 0.0}
    store(1, A1=Verdict.NO_EVIDENCE, A2=Verdict.PASS)
    assert passing(monkeypatch, NOON) == {("A2",): 1.0}


def test_a_verdict_is_exported_for_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    store(0, A2=Verdict.PASS)
    ten = TOP + timedelta(minutes=10)
    assert passing(monkeypatch, ten - timedelta(seconds=1)) == {("A2",): 1.0}
    assert passing(monkeypatch, ten) == {}


def test_the_trend_shows_since_when_and_how_often() -> None:
    for minutes in range(240, 60, -1):
        store(minutes, A2=Verdict.PASS)
    for minutes in range(60, 0, -1):
        store(minutes, A2=Verdict.FAIL)
    trend = shown(board(days=1, now=NOON), "A2").trend
    assert trend is not None
    assert (trend.verdict, trend.since, trend.passed_percent) == ("FAIL", ago(60.5), 75.0)
    assert trend.summary == (
        "Evaluated every minute over the last 24 hours: FAIL since 2 Mar, 11:00 UTC; "
        "passed 75.0 % of the time with evidence"
    )
    # 24 steps of an hour, the last of which has just begun: noon is at 23 hours.
    whole = 23 * 60 + 0.5
    first, second = trend.bars
    assert (first.x, first.width, first.colour) == (
        round(1000 * (whole - 240.5) / whole),
        round(1000 * 180 / whole),
        "good",
    )
    assert (second.x, second.width, second.colour) == (
        round(1000 * (whole - 60.5) / whole),
        round(1000 * 60 / whole),
        "bad",
    )


def test_the_trend_without_evidence_or_without_a_worker() -> None:
    never = shown(board(days=1, now=NOON), "A2").trend
    assert never is not None
    assert never.summary == "Not evaluated in this range. Is the worker running?"
    store(30, A2=Verdict.NO_EVIDENCE)
    gone = shown(board(days=1, now=NOON), "A2").trend
    assert gone is not None
    assert gone.summary == "Not evaluated recently; no evidence in this range"
    assert [bar.colour for bar in gone.bars] == ["none"]
    assert shown(board(days=1, now=NOON), "S1").trend is None


def test_an_interval_that_starts_before_the_range_is_cut_off() -> None:
    VerdictInterval.objects.create(
        scenario="A2", verdict="PASS", since=ago(99 * 60), until=TOP, measures=[]
    )
    trend = shown(board(days=1, now=NOON), "A2").trend
    assert trend is not None
    (bar,) = trend.bars
    assert (bar.x, bar.width) == (0, 1000)


def test_the_shortest_verdict_is_visible_at_the_end_of_the_strip() -> None:
    store(0, A2=Verdict.FAIL)
    trend = shown(board(days=1, now=NOON), "A2").trend
    assert trend is not None
    assert [(bar.x, bar.width) for bar in trend.bars] == [(996, 4)]


def test_a_scenario_that_cannot_be_evaluated_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    def broken(scenario: Scenario, evidence: Evidence) -> Evaluation:
        if scenario is A1:
            raise ArithmeticError("no such number")
        return evaluate(scenario, evidence)

    monkeypatch.setattr("quality.selectors.evaluate", broken)
    judge_scenarios()
    stored_for = set(VerdictInterval.objects.values_list("scenario", flat=True))
    assert {scenario.id for scenario in EVALUATED} == stored_for
    assert VerdictInterval.objects.get(scenario="A1").verdict == Verdict.NO_EVIDENCE
    assert shown(board(days=1, now=NOON), "A1").evaluation.verdict == Verdict.NO_EVIDENCE
    named = [line for line in lines() if line["message"] == "event=scenario.not_evaluated"]
    assert {line["extra"]["scenario"] for line in named} == {"A1"}


def test_each_scenario_has_intervals_of_its_own() -> None:
    store(3, A1=Verdict.PASS, A2=Verdict.PASS)
    for minutes in (2, 1):
        store(minutes, A1=Verdict.PASS, A2=Verdict.FAIL)
    assert stored("A1") == [("PASS", 3, 1)]
    assert stored("A2") == [("PASS", 3, 3), ("FAIL", 2, 1)]


def test_a_later_minute_of_one_scenario_holds_up_no_other() -> None:
    store(4, A1=Verdict.PASS)
    store(5, A1=Verdict.FAIL, A2=Verdict.PASS)
    assert stored("A1") == [("PASS", 4, 4)]
    assert stored("A2") == [("PASS", 5, 5)]


def test_the_worker_evaluates_the_last_day(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def evaluations(days: int, _now: datetime) -> dict[Scenario, Evaluation]:
        asked.append(days)
        return {A1: Evaluation(Verdict.FAIL)}

    monkeypatch.setattr("quality.tasks.evaluations", evaluations)
    assert judge_scenarios() == 1
    assert asked == [1]

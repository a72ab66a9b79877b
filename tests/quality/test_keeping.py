"""The verdicts that the worker keeps, and what Prometheus and the trend make of them."""

from datetime import datetime, timedelta

import pytest
from pytest_django import Settings

from quality.catalogue import JUDGED
from quality.metrics import SCENARIO_PASSING
from quality.models import VerdictInterval
from quality.runtime_scenarios import A1, A2
from quality.scenario import Evaluation, Measure, Verdict
from quality.selectors import Board, ShownScenario, board, read_passing
from quality.services import verdicts_keep, verdicts_prune
from quality.tasks import judge_scenarios
from tests.quality.support import MINUTE, NOON, ago, order, orders

pytestmark = pytest.mark.django_db
TOP = NOON.replace(second=0)


def judge(minutes: float, **words: Verdict) -> int:
    """Keep verdicts of so many minutes before noon."""
    scenarios = {one.id: one for one in (A1, A2)}
    judged = {
        scenarios[name]: Evaluation(word, (Measure("Of", minutes, "", "1", word == Verdict.PASS),))
        for name, word in words.items()
    }
    return verdicts_keep(judged=judged, now=ago(minutes))


def kept(scenario: str = "A2") -> list[tuple[str, float, float]]:
    """Return a scenario's intervals: verdict, and from how many minutes before noon to how many."""
    return [
        (one.verdict, (TOP - one.since) / MINUTE, (TOP - one.until) / MINUTE)
        for one in VerdictInterval.objects.filter(scenario=scenario).order_by("since")
    ]


def passing(monkeypatch: pytest.MonkeyPatch, now: datetime) -> dict[tuple[str, ...], float]:
    monkeypatch.setattr("quality.selectors.timezone.now", lambda: now)
    return dict(read_passing()[SCENARIO_PASSING])


def shown(found: Board, scenario: str) -> ShownScenario:
    (one,) = [one for one in found.shown if one.scenario.id == scenario]
    return one


def test_the_same_verdict_makes_one_interval_longer_and_another_begins_one() -> None:
    for minutes in (10, 9, 8):
        judge(minutes, A2=Verdict.PASS)
    assert judge(7, A2=Verdict.FAIL) == 1
    judge(6, A2=Verdict.FAIL)
    assert judge(5, A2=Verdict.PASS) == 0
    assert kept() == [("PASS", 10, 8), ("FAIL", 7, 6), ("PASS", 5, 5)]
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


def test_scenarios_are_kept_apart() -> None:
    judge(3, A1=Verdict.PASS, A2=Verdict.PASS)
    judge(2, A1=Verdict.PASS, A2=Verdict.FAIL)
    assert kept("A1") == [("PASS", 3, 2)]
    assert kept("A2") == [("PASS", 3, 3), ("FAIL", 2, 2)]


def test_judging_again_in_the_same_minute_changes_nothing_or_corrects_it() -> None:
    judge(3, A2=Verdict.PASS)
    judge(2, A2=Verdict.PASS)
    judge(2, A2=Verdict.PASS)
    assert kept() == [("PASS", 3, 2)]
    judge(1, A2=Verdict.PASS)
    judge(1, A2=Verdict.FAIL)
    judge(1, A2=Verdict.FAIL)
    assert kept() == [("PASS", 3, 1), ("FAIL", 1, 1)]


def test_the_news_of_a_worker_that_was_overtaken_is_dropped() -> None:
    judge(3, A2=Verdict.PASS)
    judge(1, A2=Verdict.PASS)
    judge(2, A2=Verdict.FAIL)
    assert kept() == [("PASS", 3, 1)]


def test_a_time_without_a_worker_is_a_gap_and_no_verdict() -> None:
    judge(40, A2=Verdict.PASS)
    judge(30, A2=Verdict.PASS)
    judge(19, A2=Verdict.PASS)
    assert kept() == [("PASS", 40, 30), ("PASS", 19, 19)]


def test_what_is_old_is_forgotten_by_its_end() -> None:
    judge(70, A1=Verdict.PASS, A2=Verdict.PASS)
    judge(61, A1=Verdict.PASS)
    assert verdicts_prune(before=TOP - 61 * MINUTE) == 1
    assert kept("A1") == [("PASS", 70, 61)]
    assert kept("A2") == []


def test_the_job_judges_a_day_and_may_run_twice(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr("quality.tasks.timezone.now", lambda: NOON)
    settings.METRIC_KEEP_DAYS = 2
    judge(2 * 24 * 60 + 1, A2=Verdict.FAIL)
    orders(1)
    assert judge_scenarios() == 0
    assert judge_scenarios() == 0
    judged = VerdictInterval.objects.order_by("scenario")
    assert [one.scenario for one in judged] == sorted(one.id for one in JUDGED)
    some = judged.filter(scenario__in=["A1", "A2", "P1", "P2"])
    assert list(some.values_list("scenario", "verdict", "since", "until")) == [
        ("A1", "NO EVIDENCE", TOP, TOP),
        ("A2", "PASS", TOP, TOP),
        ("P1", "NO EVIDENCE", TOP, TOP),
        ("P2", "NO EVIDENCE", TOP, TOP),
    ]
    order(5, status="FAILED")
    monkeypatch.setattr("quality.tasks.timezone.now", lambda: NOON + MINUTE)
    assert judge_scenarios() == 1
    assert kept() == [("PASS", 0, 0), ("FAIL", -1, -1)]
    assert kept("A1") == [("NO EVIDENCE", 0, -1)]


def test_prometheus_is_told_of_passes_and_fails_and_of_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert passing(monkeypatch, NOON) == {}
    judge(2, A1=Verdict.PASS, A2=Verdict.FAIL)
    assert passing(monkeypatch, NOON) == {("A1",): 1.0, ("A2",): 0.0}
    judge(1, A1=Verdict.NO_EVIDENCE, A2=Verdict.PASS)
    assert passing(monkeypatch, NOON) == {("A2",): 1.0}


def test_a_verdict_is_told_for_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    judge(0, A2=Verdict.PASS)
    ten = TOP + timedelta(minutes=10)
    assert passing(monkeypatch, ten - timedelta(seconds=1)) == {("A2",): 1.0}
    assert passing(monkeypatch, ten) == {}


def test_the_trend_says_since_when_and_how_often() -> None:
    for minutes in range(240, 60, -1):
        judge(minutes, A2=Verdict.PASS)
    for minutes in range(60, 0, -1):
        judge(minutes, A2=Verdict.FAIL)
    trend = shown(board(days=1, now=NOON), "A2").trend
    assert trend is not None
    assert (trend.verdict, trend.since, trend.passed_percent) == ("FAIL", ago(60.5), 75.0)
    told = "FAIL since 2 Mar, 11:00 UTC; passed 75.0 % of the time with evidence"
    assert trend.said == f"Judged every minute over a day: {told}"
    # 24 steps of an hour, of which the last has just begun: noon is at 23 hours.
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
    assert never.said == "Not judged in this time: is the worker running?"
    judge(30, A2=Verdict.NO_EVIDENCE)
    gone = shown(board(days=1, now=NOON), "A2").trend
    assert gone is not None
    assert gone.said == "Not judged lately; never any evidence in this time"
    assert [bar.colour for bar in gone.bars] == ["none"]
    assert shown(board(days=1, now=NOON), "S1").trend is None


def test_an_interval_from_before_the_window_is_cut() -> None:
    VerdictInterval.objects.create(
        scenario="A2", verdict="PASS", since=ago(99 * 60), until=TOP, measures=[]
    )
    trend = shown(board(days=1, now=NOON), "A2").trend
    assert trend is not None
    (bar,) = trend.bars
    assert (bar.x, bar.width) == (0, 1000)

"""Keeping the verdicts."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

from quality.models import VerdictInterval
from quality.scenario import Verdict
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from quality.scenario import Evaluation, Scenario

KEEP = timedelta(seconds=THRESHOLDS.quality_scenarios.keep_seconds)


def verdicts_keep(*, judged: Mapping[Scenario, Evaluation], now: datetime) -> int:
    """Make this minute part of the interval of each scenario's verdict; return how many fail.

    A verdict that changed begins an interval, and so does one after a time without any.
    """
    minute = now.replace(second=0, microsecond=0)
    for scenario, judgement in judged.items():
        facts = {
            "verdict": judgement.verdict.value,
            "until": minute,
            "measures": [asdict(one) for one in judgement.measures],
        }
        known = VerdictInterval.objects.filter(scenario=scenario.id, until__gte=minute - KEEP)
        last = known.order_by("since").last()
        if last is not None and last.until > minute:
            continue  # another worker, who began later, was faster
        goes_on = last is not None and last.verdict == judgement.verdict
        VerdictInterval.objects.update_or_create(
            scenario=scenario.id, since=last.since if goes_on and last else minute, defaults=facts
        )
    return sum(one.verdict == Verdict.FAIL for one in judged.values())


def verdicts_prune(*, before: datetime) -> int:
    """Delete the intervals that ended before a time; return how many."""
    return VerdictInterval.objects.filter(until__lt=before).delete()[0]

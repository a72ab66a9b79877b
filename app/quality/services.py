"""Store the verdicts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from quality.models import VerdictInterval
from quality.scenario import Verdict
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from quality.scenario import Evaluation, Scenario

VALID_FOR = timedelta(seconds=THRESHOLDS.quality_scenarios.keep_seconds)


def verdicts_store(*, evaluations: Mapping[Scenario, Evaluation], now: datetime) -> int:
    """Add this minute to the interval of each scenario's verdict; return how many scenarios fail.

    A new interval starts when the verdict changes, and after a gap.
    """
    minute = now.replace(second=0, microsecond=0)
    for scenario, evaluation in evaluations.items():
        fields = {
            "verdict": evaluation.verdict.value,
            "until": minute,
            "measures": [
                {**measure.document, "required": measure.required}
                for measure in evaluation.measures
            ],
        }
        known = VerdictInterval.objects.filter(scenario=scenario.id, until__gte=minute - VALID_FOR)
        last = known.order_by("since").last()
        if last is not None and last.until > minute:
            continue  # another worker has stored a later minute
        same = last is not None and last.verdict == evaluation.verdict
        VerdictInterval.objects.update_or_create(
            scenario=scenario.id, since=last.since if same and last else minute, defaults=fields
        )
    return sum(evaluation.verdict == Verdict.FAIL for evaluation in evaluations.values())


def verdicts_prune(*, before: datetime) -> int:
    """Delete the intervals that ended before a time; return how many."""
    return VerdictInterval.objects.filter(until__lt=before).delete()[0]

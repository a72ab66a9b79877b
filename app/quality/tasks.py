"""Background job that evaluates the quality scenarios."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from quality.selectors import DAYS, evaluations
from quality.services import verdicts_prune, verdicts_store
from retail.jobs import job


@job(every_minutes=1, success_within_minutes=10)
def judge_scenarios() -> int:
    """Evaluate the scenarios over the last day and store the verdicts; return how many fail."""
    now = timezone.now()
    verdicts_prune(before=now - timedelta(days=settings.METRIC_KEEP_DAYS))
    return verdicts_store(evaluations=evaluations(DAYS[0], now), now=now)

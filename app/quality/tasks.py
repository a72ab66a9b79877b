"""The periodic job of the quality scenarios."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from quality.selectors import DAYS, judged
from quality.services import verdicts_keep, verdicts_prune
from retail.jobs import job


@job(every_minutes=1)
def judge_scenarios() -> int:
    """Judge every scenario over the last day and keep the verdicts; return how many fail."""
    now = timezone.now()
    verdicts_prune(before=now - timedelta(days=settings.METRIC_KEEP_DAYS))
    return verdicts_keep(judged=judged(DAYS[0], now), now=now)

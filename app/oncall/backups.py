"""Staff page: backups, with RPO and RTO as measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from retail.backup import records
from retail.thresholds import THRESHOLDS, in_words
from retail.web.access import staff_only

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

LIMITS = THRESHOLDS.backups


@staff_only
@never_cache
@require_safe
def backups(request: HttpRequest) -> HttpResponse:
    """Show the last backups, what would be lost now, and how long a restore takes."""
    now = timezone.now()
    measured = records.measured(now)
    context = {
        "now": now,
        "measured": measured,
        "late": measured.rpo.total_seconds() > LIMITS.most_age_seconds,
        "gap_late": measured.largest_gap.total_seconds() > LIMITS.most_age_seconds,
        "limit": in_words(LIMITS.most_age_seconds),
        "gap_days": records.GAPS_OF.days,
        "expected": not settings.STAND_INS,
    }
    return render(request, "oncall/backups.html", context)

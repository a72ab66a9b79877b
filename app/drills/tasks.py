"""Periodic jobs of demos."""

from __future__ import annotations

import contextlib

from django.utils import timezone

from drills import demo_partner
from partner_feeds.services import IngestionRefusedError
from retail.jobs import job


@job(every_minutes=demo_partner.EVERY_MINUTES, success_within_minutes=60)
def deliver_demo_file() -> int:
    """Deliver the demo partner's next file, if there is such a partner; return how many."""
    with contextlib.suppress(IngestionRefusedError):  # the last one is not done yet
        return 0 if demo_partner.deliver(timezone.now()) is None else 1
    return 0

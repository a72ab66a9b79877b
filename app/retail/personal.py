"""What the security trail and the metrics store of a person."""

from __future__ import annotations

from retail.models import Metric, SecurityEvent
from retail.personal_data import PersonalData, register, rows

THROTTLED = "throttled_requests"


def _erase_clients(user_id: int) -> None:
    SecurityEvent.objects.filter(user_id=user_id).update(client="")


register(
    PersonalData(
        section="security_events",
        models=["retail.SecurityEvent"],
        export=lambda user_id: rows(
            SecurityEvent.objects.filter(user_id=user_id),
            *("event", "outcome", "detail", "client", "at"),
        ),
        erase=_erase_clients,
        left="events with ids only",
        kept="`SECURITY_KEEP_DAYS`",
    )
)
register(
    PersonalData(
        section="throttled_requests",
        models=["retail.Metric"],
        export=lambda user_id: rows(
            Metric.objects.filter(metric_type=THROTTLED, metadata__user_id=user_id),
            *("metadata", "timestamp"),
        ),
        erase=lambda _user_id: None,
        left="the account's id",
        kept="`METRIC_KEEP_DAYS`",
    )
)

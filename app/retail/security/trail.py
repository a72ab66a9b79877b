"""Writes security events: a counter, a log line and a row each (docs/security.md)."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction

from retail.models import SecurityEvent
from retail.observability.context import current_request, current_request_id
from retail.observability.prometheus import catalogue
from retail.web.client import client_address

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import Model

logger = logging.getLogger("retail.security")


def subject_of(row: Model) -> str:
    """Return model and id of a row, such as `auth.user 7`."""
    return f"{row._meta.label_lower} {row.pk}"  # noqa: SLF001 - documented API


def actor() -> int | None:
    """Return the id of the current request's user, if anybody is logged in."""
    user = getattr(current_request(), "user", None)
    return getattr(user, "pk", None)


def record(
    event: str,
    *,
    user_id: int | None,
    subject: str = "",
    detail: str = "",
    succeeded: bool = True,
) -> None:
    """Record that a user did something, or tried to.

    The row belongs to the transaction of what was done. If it cannot be written, that is not in the
    way of what was done, and the log line says so.
    """
    request = current_request()
    outcome = SecurityEvent.Outcome.SUCCEEDED if succeeded else SecurityEvent.Outcome.FAILED
    fields: dict[str, Any] = {
        "outcome": outcome.value,
        "user_id": user_id,
        "subject": subject[:100],
        "detail": detail[:200],
        "client": client_address(request)[:45] if request is not None else "",
    }
    catalogue.SECURITY.inc(event=event if succeeded else f"{event}_failed")
    kept = True
    try:
        with transaction.atomic():
            SecurityEvent.objects.create(event=event, request_id=current_request_id(), **fields)
    except (DatabaseError, InterfaceError):
        kept = False
        catalogue.TELEMETRY_ERRORS.inc(sink="security")
    logger.log(
        logging.INFO if kept else logging.ERROR,
        "event=security.%s",
        event,
        extra={**fields, "kept": kept},
    )


def prune(now: datetime) -> int:
    """Delete events older than SECURITY_KEEP_DAYS; return how many."""
    before = now - timedelta(days=settings.SECURITY_KEEP_DAYS)
    return SecurityEvent.objects.filter(at__lt=before).delete()[0]

"""Read the gateway's list of changes: refunds that end or fail later, and disputes.

The list is read every few seconds, so that a refund that fails after it was paid out is known
at once. What it misses, the worker asks about (returns/refunding.py) and the audit finds.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction

from orders.fulfilment import payment_dispute
from payments.selectors import gateway_changes
from payments.services import NoAnswerError
from retail import jobs
from returns.models import GatewayPosition, Refund
from returns.refunds import refund_adopt

if TYPE_CHECKING:
    from payments.selectors import GatewayChange

PAUSE_SECONDS = 5  # between two readings that find nothing
STATUSES = {
    "refund.pending": Refund.Status.PENDING,
    "refund.succeeded": Refund.Status.SUCCEEDED,
    "refund.failed": Refund.Status.FAILED,
    "refund.cancelled": Refund.Status.CANCELLED,
}

logger = logging.getLogger("retail.returns")


class _Pause:
    """When this process may read the list again."""

    until = 0.0


def _apply(change: GatewayChange) -> None:
    if change.kind == "dispute.opened":
        payment_dispute(key=change.charge_key, at=change.created_at)
    elif change.kind == "dispute.closed":
        payment_dispute(key=change.charge_key, at=None)
    elif change.kind in STATUSES:
        refund = Refund.objects.filter(
            reference=change.reference, payment__key=change.charge_key
        ).first()
        if refund is not None:  # not one that was made at the gateway, without the shop
            refund_adopt(refund=refund, status=STATUSES[change.kind])


@transaction.atomic
def _take(change: GatewayChange) -> None:
    """Apply a change once, whichever worker reads it first."""
    position = GatewayPosition.objects.filter(gateway=settings.GATEWAY_NAME)
    if position.filter(change__lt=change.id).update(change=change.id):
        _apply(change)


def _pass(change: GatewayChange) -> None:
    position = GatewayPosition.objects.filter(gateway=settings.GATEWAY_NAME)
    position.filter(change__lt=change.id).update(change=change.id)


def _read_page() -> list[GatewayChange]:
    GatewayPosition.objects.get_or_create(gateway=settings.GATEWAY_NAME)
    position = GatewayPosition.objects.get(gateway=settings.GATEWAY_NAME)
    page = gateway_changes(after=position.change)
    for change in page:
        try:
            _take(change)
        except (OperationalError, InterfaceError):
            raise  # the database: read it again later
        except Exception:
            logger.exception("event=refund.change_failed", extra={"change": change.id})
            _pass(change)  # the audit compares the refund with the gateway's
    return page


def follow() -> int:
    """Apply what has changed at the gateway since the last time; return how many changes."""
    if monotonic() < _Pause.until:
        return 0
    _Pause.until = monotonic() + PAUSE_SECONDS
    count = 0
    try:
        while not jobs.stopping.is_set() and (page := _read_page()):
            count += len(page)
    except NoAnswerError as error:
        logger.info("event=refund.changes_unread", extra={"error": str(error)[:200]})
    return count

"""Invariants about refunds, audited against the gateway's ledger.

While the gateway does not answer, they are reported as not checked. Only refunds of the gateway now
configured are compared with it.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone

from orders.models import Payment
from orders.selectors import of_this_gateway
from payments.ledger import scan_ledger
from payments.refunds import RefundStatus
from payments.selectors import (
    asking_gateway,
    gateway_charges_of,
    gateway_refunds,
    gateway_refunds_of,
)
from retail.audit.declare import Checkpoint, Part, Violation, invariant
from retail.audit.ranges import SECONDS, ranges
from retail.db.reads import bounded_read
from returns.models import ENDED, Refund

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from payments.selectors import GatewayRefund

CHUNK = 5_000  # refunds compared with the gateway at a time
# The worker reads the gateway's changes every few seconds.
UNREAD = timedelta(minutes=2)

Status = Refund.Status
PAID = (Status.PENDING, Status.SUCCEEDED)  # the gateway has it
LIVE = (RefundStatus.PENDING, RefundStatus.SUCCEEDED)


def _payments(condition: Q) -> list[Payment]:
    """Return the payments of this gateway with refunds that meet a condition."""
    with bounded_read(SECONDS):
        return list(Payment.objects.filter(of_this_gateway(), condition).distinct().order_by("pk"))


def _sums(payments: Iterable[Payment]) -> dict[str, tuple[Decimal, Decimal]]:
    """Return the least and the most that the gateway can have refunded of each, by key.

    What was sent, or is about to be, may have been refunded.
    """
    sums: defaultdict[str, tuple[Decimal, Decimal]] = defaultdict(lambda: (Decimal(0), Decimal(0)))
    rows = Refund.objects.filter(payment__in=payments, method=Refund.Method.GATEWAY)
    with bounded_read(SECONDS):
        found = list(rows.values_list("payment__key", "status", "amount"))
    for key, status, amount in found:
        least, most = sums[key]
        if status not in ENDED:
            sums[key] = (least + amount if status in PAID else least, most + amount)
    return sums


def _changed_lately(key: str) -> bool:
    since = timezone.now() - UNREAD
    return any(
        (row.updated_at or row.created_at) > since for row in gateway_refunds_of(charge_key=key)
    )


def _disagreeing(payments: list[Payment]) -> list[Violation]:
    with asking_gateway():
        charges = gateway_charges_of(keys=[payment.key for payment in payments])
        sums = _sums(payments)
        violations = []
        for payment in payments:
            charge = charges.get(payment.key)
            refunded = charge.refunded if charge is not None else Decimal(0)
            least, most = sums[payment.key]
            if least <= refunded <= most or _changed_lately(payment.key):
                continue
            ours = f"{least}" if least == most else f"{least} to {most}"
            violations.append(
                Violation(
                    payment.key, f"the gateway refunded {refunded}, our refunds sum to {ours}"
                )
            )
    return violations


def refunds_match_gateway_of(keys: list[str]) -> list[Violation]:
    """Recheck which of these payments were refunded differently."""
    return _disagreeing(_payments(Q(key__in=keys)))


@invariant("refunds_match_gateway", recheck=refunds_match_gateway_of)
def refunds_match_gateway(checkpoint: Checkpoint) -> Iterator[Part]:
    """Find payments of which the gateway has refunded another sum than our refunds."""
    moving = Q(settled_at=None)
    for rows in ranges(Refund.objects.all(), checkpoint.get("done", 0), chunk=CHUNK, moving=moving):
        payments = _payments(Q(refunds__pk__gte=rows.first, refunds__pk__lte=rows.last))
        yield Part(rows.size, _disagreeing(payments), rows.checkpoint, rows.end)


def _unrecorded(page: list[GatewayRefund]) -> tuple[list[Violation], set[int]]:
    """Return the gateway's refunds of our payments that are not ours, and their ids."""
    live = [row for row in page if row.status in LIVE]
    with bounded_read(SECONDS):
        keys = {row.charge_key for row in live}
        known = set(Payment.objects.filter(key__in=keys).values_list("key", flat=True))
        references = [row.reference for row in live]
        refunds = Refund.objects.filter(reference__in=references).select_related("payment")
        ours = {(refund.reference, refund.payment.key): refund for refund in refunds}
    found = {}
    for row in live:
        if row.charge_key not in known:  # refunded by hand, after a restore (docs/backups.md)
            continue
        refund = ours.get((row.reference, row.charge_key))
        recorded = f"refund {refund.reference} {refund.amount} {refund.status}" if refund else ""
        if refund is None or refund.status in ENDED or refund.amount != row.amount:
            detail = f"refunded {row.amount} of {row.charge_key}, {recorded or 'no refund'}"
            found[row.id] = Violation(row.refund_id, detail)
    return list(found.values()), set(found)


@invariant("gateway_refund_has_row", since_backup=True)
def gateway_refund_has_row(checkpoint: Checkpoint) -> Iterator[Part]:
    """Find refunds at the gateway that the shop has not asked for, or holds for failed."""
    return scan_ledger(checkpoint, lambda last: gateway_refunds(after=last), _unrecorded)

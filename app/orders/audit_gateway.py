"""Invariants about money, audited against the gateway's ledger.

While the gateway does not answer, these invariants are reported as not checked. Of payments, only
those of the gateway now configured are compared with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone

from orders.models import Payment
from orders.selectors import OVERDUE, UNFINISHED, of_this_gateway
from payments.ledger import scan_ledger
from payments.selectors import asking_gateway, gateway_charges, gateway_charges_of, gateway_refunds
from retail.audit.declare import Checkpoint, Part, Violation, invariant
from retail.audit.ranges import SECONDS, ranges
from retail.db.batches import readable
from retail.db.reads import bounded_read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.db.models import QuerySet

    from payments.selectors import GatewayCharge, GatewayRefund


CHUNK = 5_000  # payments compared with the gateway at a time

_COMPARED = Payment.objects.only("key", "amount", "currency", "status", "created_at")


def _completed() -> QuerySet[Payment]:
    return _COMPARED.filter(of_this_gateway(), status=Payment.Status.COMPLETED)


def _payments_of(charges: Iterable[GatewayCharge]) -> dict[str, Payment]:
    keys = [charge.key for charge in charges if charge.approved]
    with bounded_read(SECONDS):
        return {payment.key: payment for payment in readable(_COMPARED.filter(key__in=keys))}


def _in_time(payment: Payment | None) -> bool:
    """Whether a payment is unfinished but within its deadline."""
    return (
        payment is not None
        and payment.status in UNFINISHED
        and payment.created_at > timezone.now() - OVERDUE
    )


def _unrecorded(charge: GatewayCharge, payment: Payment | None) -> Violation | None:
    """Return the violation if a charge has no matching completed payment."""
    if not charge.approved or _in_time(payment):
        return None
    charged = f"charged {charge.amount} {charge.currency}"
    if payment is None:
        if charge.refunded >= charge.amount:  # by hand, after a restore (docs/backups.md)
            return None
        return Violation(charge.key, f"{charged}, no payment")
    ours = (payment.amount, payment.currency, payment.status)
    if ours == (charge.amount, charge.currency, Payment.Status.COMPLETED):
        return None
    recorded = f"payment {payment.amount} {payment.currency} {payment.status}"
    return Violation(charge.key, f"{charged}, {recorded}")


def _unrecorded_of(charges: list[GatewayCharge], payments: dict[str, Payment]) -> list[Violation]:
    results = [_unrecorded(charge, payments.get(charge.key)) for charge in charges]
    return [violation for violation in results if violation is not None]


def charge_has_payment_of(keys: list[str]) -> list[Violation]:
    """Recheck which of these charges lack a matching payment."""
    with asking_gateway():
        charges = list(gateway_charges_of(keys=keys).values())
    return _unrecorded_of(charges, _payments_of(charges))


@invariant("charge_has_payment", recheck=charge_has_payment_of, since_backup=True)
def charge_has_payment(checkpoint: Checkpoint) -> Iterator[Part]:
    """Find gateway charges without a matching completed payment.

    The checkpoint stops before payments that are unfinished but within their deadline.
    """

    def find(page: list[GatewayCharge]) -> tuple[list[Violation], set[int]]:
        payments = _payments_of(page)
        waiting = {
            charge.id for charge in page if charge.approved and _in_time(payments.get(charge.key))
        }
        return _unrecorded_of(page, payments), waiting

    return scan_ledger(checkpoint, lambda last: gateway_charges(after=last), find)


def _uncharged(payments: list[Payment]) -> list[Violation]:
    """Return the payments without an approved charge of the same amount at the gateway."""
    with asking_gateway():
        charges = gateway_charges_of(keys=[payment.key for payment in payments])
    violations = []
    for payment in payments:
        charge = charges.get(payment.key)
        charged = "no charge"
        if charge is not None and charge.approved:
            if (charge.amount, charge.currency) == (payment.amount, payment.currency):
                continue
            charged = f"charged {charge.amount} {charge.currency}"
        recorded = f"payment {payment.amount} {payment.currency} COMPLETED"
        violations.append(Violation(payment.key, f"{recorded}, {charged}"))
    return violations


def payment_has_charge_of(keys: list[str]) -> list[Violation]:
    """Recheck which of these payments lack a matching charge."""
    return _uncharged(readable(_completed().filter(key__in=keys)))


@invariant("payment_has_charge", recheck=payment_has_charge_of)
def payment_has_charge(checkpoint: Checkpoint) -> Iterator[Part]:
    """Find completed payments without a matching charge at the gateway."""
    unfinished = Q(status__in=UNFINISHED)
    done = checkpoint.get("done", 0)
    for rows in ranges(Payment.objects.all(), done, chunk=CHUNK, moving=unfinished):
        with bounded_read(SECONDS):
            payments = readable(_completed().filter(pk__gte=rows.first, pk__lte=rows.last))
        yield Part(rows.size, _uncharged(payments), rows.checkpoint, rows.end)


def refunds_within_captured_of(keys: list[str]) -> list[Violation]:
    """Recheck which of these charges were refunded beyond the captured amount."""
    with asking_gateway():
        charges = gateway_charges_of(keys=keys)
    violations = []
    for key in keys:
        charge = charges.get(key)
        captured = charge.amount if charge is not None and charge.approved else 0
        refunded = charge.refunded if charge is not None else None
        if refunded is None or refunded > captured:
            detail = f"refunded {'an unknown charge' if refunded is None else refunded}"
            violations.append(Violation(key, f"{detail}, captured {captured}"))
    return violations


@invariant("refunds_within_captured", recheck=refunds_within_captured_of)
def refunds_within_captured(checkpoint: Checkpoint) -> Iterator[Part]:
    """Find charges refunded beyond the captured amount, going by the latest refunds."""

    def find(page: list[GatewayRefund]) -> tuple[list[Violation], set[int]]:
        keys = sorted({refund.charge_key for refund in page})
        return refunds_within_captured_of(keys), set()

    return scan_ledger(checkpoint, lambda last: gateway_refunds(after=last), find)

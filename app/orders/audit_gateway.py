"""What orders promise about money, compared with the gateway's ledger.

While the gateway does not answer, nothing is said about these invariants.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.utils import timezone

from orders.audit import SECONDS, ranges
from orders.models import Payment
from orders.selectors import OVERDUE, UNFINISHED
from payments.selectors import gateway_charges, gateway_charges_of, gateway_refunds
from payments.services import NoAnswerError
from retail.audit.declare import Checkpoint, NotCheckedError, Part, Violation, invariant
from retail.db.reads import ROW_MARGIN, bounded_read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from payments.selectors import GatewayCharge


_COMPARED = Payment.objects.only("key", "amount", "currency", "status", "created_at")


@contextmanager
def _asking() -> Iterator[None]:
    """Turn a silent gateway into an invariant that is not checked."""
    try:
        yield
    except NoAnswerError as error:
        raise NotCheckedError(f"the gateway does not answer: {error}") from error


def _payments_of(charges: Iterable[GatewayCharge]) -> dict[str, Payment]:
    keys = [charge.key for charge in charges if charge.approved]
    with bounded_read(SECONDS):
        return {payment.key: payment for payment in _COMPARED.filter(key__in=keys)}


def _in_time(payment: Payment | None) -> bool:
    """Whether there is still time to settle a payment."""
    return (
        payment is not None
        and payment.status in UNFINISHED
        and payment.created_at > timezone.now() - OVERDUE
    )


def _unrecorded(charge: GatewayCharge, payment: Payment | None) -> Violation | None:
    """Return what is wrong with our record of a charge."""
    if not charge.approved or _in_time(payment):
        return None
    charged = f"charged {charge.amount} {charge.currency}"
    if payment is None:
        return Violation(charge.key, f"{charged}, no payment")
    ours = (payment.amount, payment.currency, payment.status)
    if ours == (charge.amount, charge.currency, Payment.Status.COMPLETED):
        return None
    told = f"payment {payment.amount} {payment.currency} {payment.status}"
    return Violation(charge.key, f"{charged}, {told}")


def _unrecorded_of(charges: list[GatewayCharge], payments: dict[str, Payment]) -> list[Violation]:
    found = [_unrecorded(charge, payments.get(charge.key)) for charge in charges]
    return [violation for violation in found if violation is not None]


def charge_has_payment_of(keys: list[str]) -> list[Violation]:
    """Return which of these charges have no payment as they should."""
    with _asking():
        charges = list(gateway_charges_of(keys=keys).values())
    return _unrecorded_of(charges, _payments_of(charges))


@invariant("charge_has_payment", recheck=charge_has_payment_of)
def charge_has_payment(checkpoint: Checkpoint) -> Iterator[Part]:
    """Look for charges of the gateway that are not completed payments of ours.

    The checkpoint waits for payments that may still be settled in time.
    """
    last = done = checkpoint.get("done", 0)
    moving, settled = True, timezone.now() - ROW_MARGIN
    while True:
        with _asking():
            page = gateway_charges(after=last)
        if not page:
            return
        payments = _payments_of(page)
        for charge in page:
            waits = charge.approved and _in_time(payments.get(charge.key))
            moving = moving and charge.created_at < settled and not waits
            done = charge.id if moving else done
        last = page[-1].id
        yield Part(len(page), _unrecorded_of(page, payments), {"done": done} if done else {})


def _uncharged(payments: list[Payment]) -> list[Violation]:
    """Return the payments that are not approved charges of their amount at the gateway."""
    with _asking():
        charges = gateway_charges_of(keys=[payment.key for payment in payments])
    violations = []
    for payment in payments:
        charge = charges.get(payment.key)
        told = "no charge"
        if charge is not None and charge.approved:
            if (charge.amount, charge.currency) == (payment.amount, payment.currency):
                continue
            told = f"charged {charge.amount} {charge.currency}"
        ours = f"payment {payment.amount} {payment.currency} COMPLETED"
        violations.append(Violation(payment.key, f"{ours}, {told}"))
    return violations


def payment_has_charge_of(keys: list[str]) -> list[Violation]:
    """Return which of these payments have no charge as they should."""
    completed = _COMPARED.filter(status=Payment.Status.COMPLETED)
    return _uncharged(list(completed.filter(key__in=keys)))


@invariant("payment_has_charge", recheck=payment_has_charge_of)
def payment_has_charge(checkpoint: Checkpoint) -> Iterator[Part]:
    """Look for completed payments that the gateway knows nothing of, or otherwise."""
    completed = _COMPARED.filter(status=Payment.Status.COMPLETED)
    for rows in ranges(Payment.objects.all(), checkpoint.get("done", 0), UNFINISHED):
        with bounded_read(SECONDS):
            payments = list(completed.filter(pk__gte=rows.first, pk__lte=rows.last))
        yield Part(rows.size, _uncharged(payments), {"done": rows.done} if rows.done else {})


def refunds_within_captured_of(keys: list[str]) -> list[Violation]:
    """Return of which of these charges more was given back than had been taken."""
    with _asking():
        charges = gateway_charges_of(keys=keys)
    violations = []
    for key in keys:
        charge = charges.get(key)
        captured = charge.amount if charge is not None and charge.approved else 0
        refunded = charge.refunded if charge is not None else None
        if refunded is None or refunded > captured:
            told = f"refunded {'an unknown charge' if refunded is None else refunded}"
            violations.append(Violation(key, f"{told}, captured {captured}"))
    return violations


@invariant("refunds_within_captured", recheck=refunds_within_captured_of)
def refunds_within_captured(checkpoint: Checkpoint) -> Iterator[Part]:
    """Look for charges of which more was given back than had been taken, by the latest refunds."""
    last = done = checkpoint.get("done", 0)
    settled = timezone.now() - ROW_MARGIN
    moving = True
    while True:
        with _asking():
            page = gateway_refunds(after=last)
        if not page:
            return
        for refund in page:
            moving = moving and refund.created_at < settled
            done = refund.id if moving else done
        last = page[-1].id
        keys = sorted({refund.charge_key for refund in page})
        violations = refunds_within_captured_of(keys)
        yield Part(len(page), violations, {"done": done} if done else {})

"""Refunds in the HTTP API of the payment gateway."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from payments.gateway import REJECTED, NoAnswerError, call, parse

if TYPE_CHECKING:
    from decimal import Decimal


class RefundStatus(StrEnum):
    """The state of a refund at the gateway. One that succeeded may still fail."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RefundRefusedError(Exception):
    """The gateway refuses a refund; this call recorded nothing.

    The `reason` is "disputed" (the charge is), "exceeds" (its refunds would exceed the charge) or
    "rejected" (the request is wrong, or there is no such charge).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class RefundRequest:
    """A refund of `amount` of the charge `charge_key`, made once under the idempotency `key`.

    The gateway forgets keys: one that it has forgotten makes a second refund. The `reference` finds
    the first.
    """

    key: str
    charge_key: str
    amount: Decimal
    currency: str
    reference: str


_REFUSALS = {
    (409, "charge_disputed"): "disputed",
    (409, "refund_exceeds_charge"): "exceeds",
    (404, "not_found"): "rejected",
}


def refund(request: RefundRequest) -> dict[str, Any]:
    """Refund a charge, and return the gateway's answer about this refund.

    Raises RefundRefusedError or NoAnswerError.
    """
    amount = f"{request.amount:.2f}"
    payload = {"charge_key": request.charge_key, "amount": amount, "reference": request.reference}
    status, content = call("POST", "/v1/refunds", {"Idempotency-Key": request.key}, payload)
    if status in REJECTED:
        raise RefundRefusedError("rejected")
    body = parse(content)
    if not isinstance(body, dict):
        raise NoAnswerError(f"unexpected answer: {status}")
    if reason := _REFUSALS.get((status, str(body.get("error")))):
        raise RefundRefusedError(reason)
    if status != HTTPStatus.OK:
        raise NoAnswerError(f"unexpected answer: {status}")
    return body

"""The circuit breaker's state; and the gateway's ledger for audits, bypassing the breaker."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.conf import settings

from payments import gateway
from payments.breaker import NAME as BREAKER
from payments.gateway import NoAnswerError
from payments.models import CircuitBreaker
from payments.refund_gateway import RefundStatus
from retail.audit.declare import NotCheckedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

PAGE = 1000  # maximum rows per response
KEYS = 50  # maximum keys per request


def breaker_state() -> str:
    """Return the state of the payments' circuit breaker now; closed before the first payment."""
    row = CircuitBreaker.objects.filter(name=BREAKER).first()
    return CircuitBreaker.State.CLOSED if row is None else row.state_now


Row = TypeVar("Row")


@dataclass(frozen=True)
class GatewayCharge:
    """A charge in the gateway's ledger; amounts are in `currency`."""

    id: int
    key: str
    approved: bool
    amount: Decimal
    currency: str
    refunded: Decimal  # by refunds that neither failed nor were cancelled
    created_at: datetime
    disputed: bool = False

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Parse a row of the ledger. A cancelled key has neither amount nor currency."""
        return cls(
            id=int(row["id"]),
            key=str(row["key"]),
            approved=row["status"] == "approved",
            amount=Decimal(row["amount"] or 0),
            currency=row["currency"] or "",
            refunded=Decimal(row["refunded"]),
            created_at=datetime.fromisoformat(row["created_at"]),
            disputed=bool(row.get("disputed")),
        )


@dataclass(frozen=True)
class GatewayRefund:
    """A refund at the gateway; the amount is in `currency`.

    Its id is 0 in the answer to a request for a refund.
    """

    id: int
    refund_id: str
    key: str
    charge_key: str
    reference: str
    status: RefundStatus
    reason: str  # why it failed or was cancelled
    amount: Decimal
    currency: str
    created_at: datetime
    updated_at: datetime | None = None  # unknown in the answer to a request

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Parse a row of the ledger."""
        return cls(
            id=int(row["id"]),
            refund_id=str(row["refund_id"]),
            key=str(row["key"]),
            charge_key=str(row["charge_key"]),
            reference=row["reference"] or "",
            status=RefundStatus(row["status"]),
            reason=row["reason"] or "",
            amount=Decimal(row["amount"]),
            currency=row["currency"] or "",
            created_at=datetime.fromisoformat(row["created_at"]),
            updated_at=datetime.fromisoformat(row["updated_at"]) if "updated_at" in row else None,
        )


@dataclass(frozen=True)
class GatewayChange:
    """A change of a refund's state, the first included, or of a charge's dispute.

    The kind is "refund." and a status, "dispute.opened" or "dispute.closed". A dispute has no
    refund; its reference is the charge's.
    """

    id: int
    kind: str
    charge_key: str
    refund_id: str
    refund_key: str
    reference: str
    created_at: datetime

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Parse a row of the list of changes."""
        return cls(
            id=int(row["id"]),
            kind=str(row["kind"]),
            charge_key=str(row["charge_key"]),
            refund_id=row["refund_id"] or "",
            refund_key=row["refund_key"] or "",
            reference=row["reference"] or "",
            created_at=datetime.fromisoformat(row["created_at"]),
        )


def gateway_charges(*, after: int) -> list[GatewayCharge]:
    """Return the next page of charges with an id above `after`. Raises NoAnswerError."""
    rows = _rows("charges", {"after": after, "limit": PAGE})
    return _parsed(GatewayCharge.from_row(row) for row in rows)


def gateway_charges_of(*, keys: Sequence[str]) -> dict[str, GatewayCharge]:
    """Return the charges with these keys, by key. Raises NoAnswerError."""
    charges: list[GatewayCharge] = []
    for first in range(0, len(keys), KEYS):
        rows = _rows("charges", {"key": keys[first : first + KEYS]})
        charges += _parsed(GatewayCharge.from_row(row) for row in rows)
    return {charge.key: charge for charge in charges}


def gateway_refunds(*, after: int) -> list[GatewayRefund]:
    """Return the next page of refunds with an id above `after`. Raises NoAnswerError."""
    return _refunds({"after": after})


def _refunds(query: dict[str, object]) -> list[GatewayRefund]:
    rows = _rows("refunds", {**query, "limit": PAGE})
    return _parsed(GatewayRefund.from_row(row) for row in rows)


def gateway_refunds_of(*, charge_key: str) -> list[GatewayRefund]:
    """Return all refunds of a charge, in order. Raises NoAnswerError."""
    refunds: list[GatewayRefund] = []
    while page := _refunds({"charge_key": charge_key, "after": refunds[-1].id if refunds else 0}):
        refunds += page
    return refunds


def gateway_changes(*, after: int) -> list[GatewayChange]:
    """Return the next page of changes with an id above `after`. Raises NoAnswerError."""
    rows = _rows("changes", {"after": after, "limit": PAGE})
    return _parsed(GatewayChange.from_row(row) for row in rows)


@contextmanager
def asking_gateway() -> Iterator[None]:
    """Turn NoAnswerError into NotCheckedError."""
    try:
        yield
    except NoAnswerError as error:
        raise NotCheckedError(f"the gateway does not answer: {error}") from error


def gateway_ledger_position(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the last ids in the gateway's ledger, reading on from a known position.

    What the gateway charges later has a higher id. Raises NotCheckedError without an answer.
    """
    same = known.get("gateway") == settings.GATEWAY_NAME
    charge, refund = (known.get(name, 0) if same else 0 for name in ("charge", "refund"))
    with asking_gateway():
        while charges := gateway_charges(after=charge):
            charge = charges[-1].id
        while refunds := gateway_refunds(after=refund):
            refund = refunds[-1].id
    return {"gateway": settings.GATEWAY_NAME, "charge": charge, "refund": refund}


def _rows(table: str, query: dict[str, object]) -> Iterator[dict[str, Any]]:
    """Yield the raw rows of a response."""
    yield from gateway.read(f"/v1/{table}", query)[table]


def _parsed(rows: Iterable[Row]) -> list[Row]:
    """Return the parsed rows. Raises NoAnswerError if any is invalid."""
    try:
        return list(rows)
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise NoAnswerError(f"invalid ledger row: {error!r}") from error

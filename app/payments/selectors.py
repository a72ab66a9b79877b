"""The circuit breaker's state; and the gateway's ledger for audits, bypassing the breaker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.conf import settings

from payments import gateway
from payments.breaker import NAME as BREAKER
from payments.gateway import NoAnswerError
from payments.models import CircuitBreaker
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
    refunded: Decimal
    created_at: datetime

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
        )


@dataclass(frozen=True)
class GatewayRefund:
    """A refund in the gateway's ledger."""

    id: int
    charge_key: str
    created_at: datetime

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Parse a row of the ledger."""
        return cls(
            id=int(row["id"]),
            charge_key=str(row["charge_key"]),
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
    rows = _rows("refunds", {"after": after, "limit": PAGE})
    return _parsed(GatewayRefund.from_row(row) for row in rows)


def gateway_ledger_position(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the last ids in the gateway's ledger, reading on from a known position.

    What the gateway charges later has a higher id. Raises NotCheckedError without an answer.
    """
    same = known.get("gateway") == settings.GATEWAY_NAME
    charge, refund = (known.get(name, 0) if same else 0 for name in ("charge", "refund"))
    try:
        while charges := gateway_charges(after=charge):
            charge = charges[-1].id
        while refunds := gateway_refunds(after=refund):
            refund = refunds[-1].id
    except NoAnswerError as error:
        raise NotCheckedError(f"the gateway does not answer: {error}") from error
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

"""What the gateway's ledger says, for an audit. It is asked past the circuit breaker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self, TypeVar

from payments import gateway
from payments.gateway import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PAGE = 1000  # rows the gateway gives at most
KEYS = 50  # it may be asked for at once

Row = TypeVar("Row")


@dataclass(frozen=True)
class GatewayCharge:
    """A row of the gateway's ledger; amounts in units of `currency`."""

    id: int
    key: str
    approved: bool
    amount: Decimal
    currency: str
    refunded: Decimal
    created_at: datetime

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        """Make one of a row of the listing. A cancelled key has neither amount nor currency."""
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
    def of(cls, row: dict[str, Any]) -> Self:
        """Make one of a row of the listing."""
        return cls(
            id=int(row["id"]),
            charge_key=str(row["charge_key"]),
            created_at=datetime.fromisoformat(row["created_at"]),
        )


def gateway_charges(*, after: int) -> list[GatewayCharge]:
    """Return the next rows of the ledger with an id above `after`. Raises NoAnswerError."""
    rows = _rows("charges", {"after": after, "limit": PAGE})
    return _made(GatewayCharge.of(row) for row in rows)


def gateway_charges_of(*, keys: Sequence[str]) -> dict[str, GatewayCharge]:
    """Return the ledger's rows of these keys, by key. Raises NoAnswerError."""
    found: list[GatewayCharge] = []
    for first in range(0, len(keys), KEYS):
        rows = _rows("charges", {"key": keys[first : first + KEYS]})
        found += _made(GatewayCharge.of(row) for row in rows)
    return {charge.key: charge for charge in found}


def gateway_refunds(*, after: int) -> list[GatewayRefund]:
    """Return the next refunds with an id above `after`. Raises NoAnswerError."""
    rows = _rows("refunds", {"after": after, "limit": PAGE})
    return _made(GatewayRefund.of(row) for row in rows)


def _rows(table: str, query: dict[str, object]) -> Iterator[dict[str, Any]]:
    """Return the rows of an answer, which are still to be understood."""
    yield from gateway.read(f"/v1/{table}", query)[table]


def _made(rows: Iterable[Row]) -> list[Row]:
    """Return the rows. Raises NoAnswerError for what makes no sense."""
    try:
        return list(rows)
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise NoAnswerError(f"a ledger that makes no sense: {error!r}") from error

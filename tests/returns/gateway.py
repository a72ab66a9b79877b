"""A payment gateway in memory that keeps refunds, replays keys and reports changes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from payments.refunds import RefundRefusedError, RefundRequest, RefundStatus
from payments.selectors import GatewayChange, GatewayRefund
from payments.services import NoAnswerError

if TYPE_CHECKING:
    from decimal import Decimal

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OUTCOMES = {
    "succeeds": RefundStatus.SUCCEEDED,
    "pending": RefundStatus.PENDING,
    "fails": RefundStatus.FAILED,
    "cancelled": RefundStatus.CANCELLED,
    "answer lost": RefundStatus.SUCCEEDED,
}


@dataclass
class FakeGateway:
    """Answers refunds by `behaviour`: an outcome, "no answer", "not connected" or a refusal."""

    behaviour: str = "succeeds"
    rows: list[GatewayRefund] = field(default_factory=list)
    changes: list[GatewayChange] = field(default_factory=list)
    sent: list[RefundRequest] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)  # those not forgotten, with their refund

    def send(self, *, request: RefundRequest, attempt: int) -> GatewayRefund:
        """Take the place of `refund_send`."""
        del attempt
        if self.behaviour == "not connected":
            raise NoAnswerError("refused", maybe_sent=False)
        self.sent.append(request)
        if self.behaviour == "no answer":
            raise NoAnswerError("hangs")
        if self.behaviour in {"disputed", "exceeds", "rejected"} and request.key not in self.keys:
            raise RefundRefusedError(self.behaviour)
        if request.key not in self.keys:
            self._record(request)
        if self.behaviour == "answer lost":
            raise NoAnswerError("lost")
        return self.row(self.keys[request.key])

    def _record(self, request: RefundRequest) -> None:
        row = GatewayRefund(
            id=len(self.rows) + 1,
            refund_id=f"re_{uuid.uuid4().hex}",
            key=request.key,
            charge_key=request.charge_key,
            reference=request.reference,
            status=OUTCOMES.get(self.behaviour, RefundStatus.SUCCEEDED),
            reason="",
            amount=request.amount,
            currency=request.currency,
            created_at=NOW,
        )
        self.rows.append(row)
        self.keys[request.key] = row.refund_id
        self._report(row)

    def _report(self, row: GatewayRefund) -> None:
        self.changes.append(
            GatewayChange(
                id=len(self.changes) + 1,
                kind=f"refund.{row.status}",
                charge_key=row.charge_key,
                refund_id=row.refund_id,
                refund_key=row.key,
                reference=row.reference,
                created_at=NOW,
            )
        )

    def dispute(self, charge_key: str, kind: str) -> None:
        """Report that a dispute is `opened` or `closed`."""
        self.changes.append(
            GatewayChange(
                id=len(self.changes) + 1,
                kind=f"dispute.{kind}",
                charge_key=charge_key,
                refund_id="",
                refund_key="",
                reference="",
                created_at=NOW,
            )
        )

    def row(self, refund_id: str) -> GatewayRefund:
        """Return a refund as it is now."""
        return next(row for row in self.rows if row.refund_id == refund_id)

    def set(self, row: GatewayRefund, status: RefundStatus) -> None:
        """Change a refund's state, as banks do later."""
        after = replace(row, status=status)
        self.rows[self.rows.index(row)] = after
        self._report(after)

    def forget_keys(self) -> None:
        """Forget all idempotency keys, as gateways do after a day."""
        self.keys.clear()

    def refunds_of(self, *, charge_key: str) -> list[GatewayRefund]:
        """Take the place of `gateway_refunds_of`."""
        return [row for row in self.rows if row.charge_key == charge_key]

    def changes_after(self, *, after: int) -> list[GatewayChange]:
        """Take the place of `gateway_changes`."""
        return [change for change in self.changes if change.id > after]

    def paid(self, charge_key: str) -> Decimal:
        """Return what the gateway has refunded of a charge, or is about to."""
        ended = (RefundStatus.FAILED, RefundStatus.CANCELLED)
        return sum(
            (
                row.amount
                for row in self.refunds_of(charge_key=charge_key)
                if row.status not in ended
            ),
            start=0,  # type: ignore[arg-type]
        )

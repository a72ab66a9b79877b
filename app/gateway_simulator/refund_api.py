"""The API under /v1 of refunds, and of all changes of refunds and disputes."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, request

from gateway_simulator import checks, refunds
from gateway_simulator.answers import answer, page_of_query, with_faults
from gateway_simulator.checks import ApiError
from gateway_simulator.context import gateway, note
from gateway_simulator.records import KeyReusedError
from gateway_simulator.refund_records import Refund

bp = Blueprint("refunds", __name__, url_prefix="/v1")

HUNDREDTH = Decimal("0.01")


@bp.post("/refunds", endpoint="refund")
@with_faults
def refund() -> Response:
    """Refund part or all of an approved charge, once per Idempotency-Key that is not forgotten."""
    key = checks.idempotency_key(request.headers.get("Idempotency-Key"))
    order = checks.refund_order(
        checks.json_object(request.get_data()), HUNDREDTH, gateway().settings.most
    )
    note(key=key, charge_key=order.charge_key, amount=f"{order.amount:.2f}")
    note(reference=order.reference)
    try:
        row, replayed = gateway().refunds.refund(key, order)
    except KeyReusedError:
        raise ApiError(
            422,
            "key_reused",
            "This Idempotency-Key was used for another refund. Use a new key.",
        ) from None
    except refunds.NoSuchChargeError:
        raise ApiError(404, "not_found", "No approved charge has this charge_key.") from None
    except refunds.RefundExceedsChargeError:
        raise ApiError(
            409, "refund_exceeds_charge", "The refunds would exceed the charge."
        ) from None
    except refunds.ChargeDisputedError:
        raise ApiError(
            409, "charge_disputed", "The charge is disputed. Wait until the dispute is closed."
        ) from None
    note(refund=row.status, replayed=replayed)
    body = shown(row)
    del body["id"], body["updated_at"]
    return answer(body, 200, replayed=replayed)


@bp.get("/refunds", endpoint="refunds")
def rows() -> Response:
    """List refunds in order of creation, all or those of a charge."""
    key = request.args.get("charge_key")
    charge_key = None if key is None else checks.charge_key(key)
    found = gateway().refunds.rows(*page_of_query(), charge_key)
    return answer({"refunds": [shown(row) for row in found]}, 200)


@bp.get("/changes", endpoint="changes")
def changes() -> Response:
    """List changes of refunds' states and of disputes, in order."""
    found = gateway().refunds.changes(*page_of_query())
    rows = [{**asdict(row), "amount": f"{row.amount:.2f}"} for row in found]
    return answer({"changes": rows}, 200)


def shown(row: Refund) -> dict[str, Any]:
    """Return a refund as JSON."""
    return {**asdict(row), "amount": f"{row.amount:.2f}"}

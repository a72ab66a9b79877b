"""The API under /v1: charges, cancellations and the ledger (refunds: refund_api.py)."""

from typing import Any

from flask import Blueprint, Response, request

from gateway_simulator import checks, records
from gateway_simulator.answers import answer, page_of_query, with_faults
from gateway_simulator.checks import ApiError
from gateway_simulator.context import gateway, note
from gateway_simulator.faults import TooManyHeldError
from gateway_simulator.records import Charge

bp = Blueprint("v1", __name__, url_prefix="/v1")

SLOW_SECONDS = 1.5
TEST_CARDS = frozenset({"tok_good", "tok_slow"})  # accepted by a simulator only
_STATUS_CODES = {"approved": 200, "declined": 402, "cancelled": 409}


@bp.post("/charges", endpoint="charge")
@with_faults
def charge() -> Response:
    """Charge a card once per Idempotency-Key."""
    key = checks.idempotency_key(request.headers.get("Idempotency-Key"))
    limits = gateway().settings
    body = checks.json_object(request.get_data())
    order, token = checks.charge_order(body, limits.least, limits.most)
    note(key=key, amount=f"{order.amount:.2f}", currency=order.currency, reference=order.reference)
    ledger = gateway().ledger
    _hold()
    if token == "tok_slow" and ledger.find(key) is None:  # noqa: S105 - a test card, no secret
        gateway().sleep(SLOW_SECONDS)
    try:
        row, replayed = ledger.charge(key, order, _reason_to_decline(token))
    except records.KeyReusedError:
        raise ApiError(
            422,
            "key_reused",
            "This Idempotency-Key was used with another amount or currency. Use a new key.",
        ) from None
    if row.calls == 1 and row.status != "cancelled":
        gateway().metrics.recorded(row.status)
    note("ok" if row.status == "approved" else row.status, charge=row.status, replayed=replayed)
    return answer(_charge_body(row), _STATUS_CODES[row.status], replayed=replayed)


@bp.post("/charges/<key>/cancel", endpoint="cancel")
def cancel(key: str) -> Response:
    """Close a key for charges, unless it already has an outcome; return the outcome."""
    row, is_new = gateway().ledger.cancel(checks.charge_key(key))
    if is_new:
        gateway().metrics.recorded(row.status)
    note(key=key, charge=row.status)
    return answer(_charge_body(row), 200)


@bp.get("/charges/<key>", endpoint="status")
def status(key: str) -> Response:
    """Return the outcome of a key."""
    row = gateway().ledger.find(checks.charge_key(key))
    note(key=key, charge=row.status if row else "not_found")
    if row is None:
        return answer({"status": "not_found", "key": key}, 404)
    return answer(_charge_body(row), 200)


@bp.get("/charges", endpoint="ledger")
def rows() -> Response:
    """List charges in order of creation, or those with the given keys, for audits."""
    ledger = gateway().ledger
    if keys := request.args.getlist("key"):
        charges = ledger.of_keys(checks.charge_keys(keys))
    else:
        charges = ledger.rows(*page_of_query())
    refunded = gateway().refunds.refunded(charges)
    rows = [{**_row(row), "refunded": f"{refunded.get(row.key, 0):.2f}"} for row in charges]
    return answer({"charges": rows}, 200)


def _hold() -> None:
    """Wait while ``hold`` is on."""
    try:
        gateway().faults.hold()
    except TooManyHeldError as error:
        note("error")
        raise ApiError(503, "too_many_held", str(error)) from None


def _reason_to_decline(token: str) -> str | None:
    """Return why a new charge is declined, or None. A known key keeps its outcome."""
    if token == "tok_declined":  # noqa: S105 - a test card, no secret
        return "card_declined"
    chosen = gateway().settings
    if token not in chosen.cards and not (chosen.simulator and token in TEST_CARDS):
        return "unknown_token"
    faults = gateway().faults
    return "card_declined" if faults.strikes(faults.now().decline_share) else None


def _charge_body(row: Charge) -> dict[str, Any]:
    """Return the body of every response about a key."""
    body = {
        "status": row.status,
        "reason": row.reason,
        "key": row.key,
        "charge_id": row.charge_id,
        "amount": _money(row),
        "currency": row.currency,
        "reference": row.reference,
    }
    return {name: value for name, value in body.items() if value is not None}


def _row(row: Charge) -> dict[str, Any]:
    return {
        "id": row.id,
        "key": row.key,
        "status": row.status,
        "amount": _money(row),
        "currency": row.currency,
        "reference": row.reference,
        "calls": row.calls,
        "created_at": row.created_at,
        "disputed": row.disputed,
    }


def _money(row: Charge) -> str | None:
    return None if row.amount is None else f"{row.amount:.2f}"

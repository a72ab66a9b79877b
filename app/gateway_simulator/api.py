"""The API under /v1: charges, cancellations, refunds and the ledger."""

from collections.abc import Callable
from dataclasses import asdict
from decimal import Decimal
from functools import wraps
from typing import Any

from flask import Blueprint, Response, jsonify, request

from gateway_simulator import checks, records, wire
from gateway_simulator.checks import ApiError
from gateway_simulator.context import gateway, note
from gateway_simulator.faults import TooManyHeldError
from gateway_simulator.records import Charge

bp = Blueprint("v1", __name__, url_prefix="/v1")

HANG_SECONDS = 30.0
SLOW_SECONDS = 1.5
HUNDREDTH = Decimal("0.01")
TEST_CARDS = frozenset({"tok_good", "tok_slow"})  # accepted by a simulator only
_STATUS_CODES = {"approved": 200, "declined": 402, "cancelled": 409}
_GARBAGE = "<html><body>It works!</body>"


def with_faults(view: Callable[[], Response]) -> Callable[[], Response]:
    """Apply the share faults to a view that moves money.

    They do not apply to lookups and cancellations, so a caller can always find out the outcome of a
    charge. (``off`` and ``latency_ms`` apply to every call, see app.py; ``hold`` only to charges.)
    """

    @wraps(view)
    def faulty() -> Response:
        faults = gateway().faults
        state = faults.now()
        if faults.strikes(state.error_share):
            note("error")
            raise ApiError(500, "injected_error", "Injected error. Nothing was recorded.")
        if faults.strikes(state.hang_share):
            note("hang")
            wire.stay_silent(HANG_SECONDS)
            return wire.close_unanswered()
        answer = view()
        if faults.strikes(state.lost_answer_share):
            note("lost_answer")
            return wire.close_unanswered()
        if faults.strikes(state.garbage_share):
            note("garbage")
            return Response(_GARBAGE, 200, mimetype="text/html")
        if faults.strikes(state.trickle_share):
            note("trickle")
            return wire.trickling(answer, gateway().sleep)
        return answer

    return faulty


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
    return _answer(_charge_body(row), _STATUS_CODES[row.status], replayed=replayed)


@bp.post("/charges/<key>/cancel", endpoint="cancel")
def cancel(key: str) -> Response:
    """Close a key for charges, unless it already has an outcome; return the outcome."""
    row, is_new = gateway().ledger.cancel(checks.charge_key(key))
    if is_new:
        gateway().metrics.recorded(row.status)
    note(key=key, charge=row.status)
    return _answer(_charge_body(row), 200)


@bp.get("/charges/<key>", endpoint="status")
def status(key: str) -> Response:
    """Return the outcome of a key."""
    row = gateway().ledger.find(checks.charge_key(key))
    note(key=key, charge=row.status if row else "not_found")
    if row is None:
        return _answer({"status": "not_found", "key": key}, 404)
    return _answer(_charge_body(row), 200)


@bp.post("/refunds", endpoint="refund")
@with_faults
def refund() -> Response:
    """Refund part or all of an approved charge, once per Idempotency-Key."""
    key = checks.idempotency_key(request.headers.get("Idempotency-Key"))
    body = checks.json_object(request.get_data())
    charge_key = checks.charge_key(body.get("charge_key"))
    amount = checks.amount(body.get("amount"), HUNDREDTH, gateway().settings.most)
    note(key=key, charge_key=charge_key, amount=f"{amount:.2f}")
    try:
        row, replayed = gateway().ledger.refund(key, charge_key, amount)
    except records.KeyReusedError:
        raise ApiError(
            422,
            "key_reused",
            "This Idempotency-Key was used for another refund. Use a new key.",
        ) from None
    except records.NoSuchChargeError:
        raise ApiError(404, "not_found", "No approved charge has this charge_key.") from None
    except records.RefundExceedsChargeError:
        raise ApiError(
            409, "refund_exceeds_charge", "The refunds would exceed the charge."
        ) from None
    note(replayed=replayed)
    body = {"status": "refunded", "refund_id": row.refund_id, "amount": f"{row.amount:.2f}"}
    return _answer(body, 200, replayed=replayed)


@bp.get("/charges", endpoint="ledger")
def rows() -> Response:
    """List charges in order of creation, or those with the given keys, for audits."""
    ledger = gateway().ledger
    if keys := request.args.getlist("key"):
        charges = ledger.of_keys(checks.charge_keys(keys))
    else:
        charges = ledger.rows(*_page())
    refunded = ledger.refunded(charges)
    rows = [{**_row(row), "refunded": f"{refunded.get(row.key, 0):.2f}"} for row in charges]
    return _answer({"charges": rows}, 200)


@bp.get("/refunds", endpoint="refunds")
def refund_rows() -> Response:
    """List refunds in order of creation, for audits."""
    refunds = gateway().ledger.refunds(*_page())
    rows = [{**asdict(row), "amount": f"{row.amount:.2f}"} for row in refunds]
    return _answer({"refunds": rows}, 200)


def _page() -> tuple[int, int]:
    return checks.page_of_rows(request.args.get("after"), request.args.get("limit"))


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
    }


def _money(row: Charge) -> str | None:
    return None if row.amount is None else f"{row.amount:.2f}"


def _answer(body: dict[str, Any], code: int, *, replayed: bool = False) -> Response:
    response = jsonify(body)
    response.status_code = code
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response

"""What an operator does by hand: set a refund's state, open or close a charge's dispute.

As JSON with the faults token, or with the page's forms.
"""

from typing import Any

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from gateway_simulator import checks, pages
from gateway_simulator.answers import answer
from gateway_simulator.checks import ApiError, bad_request
from gateway_simulator.context import gateway, note
from gateway_simulator.refund_api import shown
from gateway_simulator.refund_records import STATUSES
from gateway_simulator.refunds import NoSuchChargeError, NoSuchRefundError, StateError

bp = Blueprint("operation", __name__)


@bp.post("/refunds/<refund_id>/state", endpoint="refund_state")
def refund_state(refund_id: str) -> Response:
    """Set the state of a refund."""
    body = checks.json_object(request.get_data())
    return answer(_set_state(refund_id, body.get("state")), 200)


@bp.post("/charges/<key>/dispute", endpoint="dispute")
def dispute(key: str) -> Response:
    """Open or close the dispute of a charge."""
    body = checks.json_object(request.get_data())
    return answer(_dispute(key, body.get("open")), 200)


@bp.post("/operation-form", endpoint="operation_form")
def operation_form() -> AnyResponse | tuple[str, int]:
    """Handle the page's forms of refunds and disputes."""
    if not pages.same_secret(request.form.get("token", ""), gateway().settings.faults_token):
        return pages.show_page("The faults token is wrong. Nothing was changed."), 401
    action = request.form.get("action", "")
    try:
        if action in {"open", "close"}:
            _dispute(request.form.get("charge", ""), action == "open")
        else:
            _set_state(request.form.get("refund", ""), action)
    except ApiError as error:
        return pages.show_page(f"{error.message} Nothing was changed."), error.status
    return redirect("/?changed", 303)


def _set_state(refund_id: str, state: object) -> dict[str, Any]:
    wanted = STATUSES[1:]
    if not isinstance(state, str) or state not in wanted:
        raise bad_request(f"state must be one of: {', '.join(wanted)}.")
    note(refund_id=refund_id, refund=state)
    try:
        return shown(gateway().refunds.set_state(refund_id, state))
    except NoSuchRefundError:
        raise ApiError(404, "not_found", "No refund has this refund_id.") from None
    except StateError as error:
        raise ApiError(409, "wrong_state", str(error)) from None


def _dispute(key: str, is_open: object) -> dict[str, Any]:
    if not isinstance(is_open, bool):
        raise bad_request("open must be true or false.")
    note(key=checks.charge_key(key), disputed=is_open)
    try:
        charge = gateway().refunds.dispute(key, is_open=is_open)
    except NoSuchChargeError:
        raise ApiError(404, "not_found", "No approved charge has this key.") from None
    return {"key": charge.key, "disputed": charge.disputed}

"""Endpoints for operation: page, fault knobs, health, metrics."""

import hmac
import sqlite3
from typing import Any

from flask import Blueprint, Response, jsonify, redirect, render_template, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.wrappers import Response as AnyResponse

from gateway_simulator import checks, knobs
from gateway_simulator.checks import ApiError
from gateway_simulator.context import gateway, note
from gateway_simulator.metrics import CHARGE_STATUSES
from gateway_simulator.refund_records import NEXT

bp = Blueprint("pages", __name__)

NEWEST_ROWS = 50


def same_secret(given: str, secret: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())


@bp.get("/", endpoint="page")
def page() -> str:
    """Show the page with totals, knobs and ledger."""
    return show_page()


@bp.post("/faults-form", endpoint="faults_form")
def faults_form() -> AnyResponse | tuple[str, int]:
    """Handle the page's form."""
    values = request.form.to_dict()
    token = values.pop("token", "")
    action = values.pop("action", "set")
    if not same_secret(token, gateway().settings.faults_token):
        message = "The faults token is wrong. Nothing was changed."
        return show_page(message, _typed(values)), 401
    try:
        if action == "reset":
            _apply({}, reset=True)
        else:
            _apply({**knobs.from_form(values), **knobs.end_from_form(values)})
    except knobs.FaultsError as error:
        return show_page(f"{error} Nothing was changed.", _typed(values)), 400
    return redirect("/?saved", 303)


@bp.route("/faults", methods=["GET", "PUT", "DELETE"], endpoint="faults")
def fault_knobs() -> Response:
    """Return the knobs, after setting some (PUT) or turning off all (DELETE)."""
    try:
        if request.method == "PUT":
            _apply(checks.json_object(request.get_data()))
        elif request.method == "DELETE":
            _apply({}, reset=True)
    except knobs.FaultsError as error:
        raise ApiError(400, "bad_request", f"{error} Nothing was changed.") from None
    return jsonify(gateway().faults.now().as_dict())


@bp.get("/healthz", endpoint="health")
def health() -> tuple[Response, int]:
    """Report whether the ledger can be read, and that this is a simulator unless told otherwise.

    By this mark a shop in production knows that it must not sell.
    """
    mark = {"simulator": True} if gateway().settings.simulator else {}
    try:
        gateway().ledger.check()
    except sqlite3.Error as error:
        note(problem=str(error))
        return jsonify(status="unavailable", message="The ledger cannot be read.", **mark), 503
    return jsonify(status="ok", **mark), 200


@bp.get("/metrics", endpoint="metrics")
def metrics() -> Response:
    """Serve a Prometheus scrape."""
    gateway().metrics.show_faults(gateway().faults.now())
    return Response(generate_latest(gateway().metrics.registry), content_type=CONTENT_TYPE_LATEST)


def _apply(changes: dict[str, Any], *, reset: bool = False) -> None:
    gw = gateway()
    state = gw.faults.reset() if reset else gw.faults.change(changes)
    note(knobs=state.as_dict())


def _typed(form: dict[str, str]) -> dict[str, object]:
    """Return the current knobs, updated with the submitted values."""
    return {**gateway().faults.now().as_dict(), **knobs.from_form(form)}


def _shown(value: object) -> object:
    """Format a whole share as 1, not 1.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def show_page(error: str = "", values: dict[str, Any] | None = None) -> str:
    """Return the page; ``values`` are those of its form of knobs, if it was refused."""
    ledger = gateway().ledger
    refunds = gateway().refunds.newest(NEWEST_ROWS)
    totals = ledger.totals()
    counts = dict.fromkeys(CHARGE_STATUSES, 0)
    for total in totals:
        counts[total.status] += total.count
    return render_template(
        "gateway.html",
        knobs=knobs.KNOBS,
        values=gateway().faults.now().as_dict() if values is None else values,
        shown=_shown,
        minutes=request.form.get("minutes", ""),
        active=[k.label for k in knobs.KNOBS if getattr(gateway().faults.now(), k.name)],
        held=gateway().faults.held,
        error=error,
        saved="saved" in request.args,
        changed="changed" in request.args,
        counts=counts,
        approved=[total for total in totals if total.status == "approved"],
        rows=ledger.newest(NEWEST_ROWS),
        refunds=refunds,
        changeable=[refund for refund in refunds if refund.status in NEXT],
        newest=NEWEST_ROWS,
    )

"""Answers of the API, and the faults that spoil them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, jsonify, request

from gateway_simulator import checks, wire
from gateway_simulator.checks import ApiError
from gateway_simulator.context import gateway, note

HANG_SECONDS = 30.0
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
        made = view()
        if faults.strikes(state.lost_answer_share):
            note("lost_answer")
            return wire.close_unanswered()
        if faults.strikes(state.garbage_share):
            note("garbage")
            return Response(_GARBAGE, 200, mimetype="text/html")
        if faults.strikes(state.trickle_share):
            note("trickle")
            return wire.trickling(made, gateway().sleep)
        return made

    return faulty


def page_of_query() -> tuple[int, int]:
    """Return ``after`` and ``limit`` of the query."""
    return checks.page_of_rows(request.args.get("after"), request.args.get("limit"))


def answer(body: dict[str, Any], code: int, *, replayed: bool = False) -> Response:
    """Return a response with this body."""
    response = jsonify(body)
    response.status_code = code
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response

"""The Flask application: authentication, metrics, logging and error responses."""

import logging
import random
import re
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from flask import Flask, Response, g, jsonify, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from gateway_simulator import api, logs, operation, pages, refund_api, wire
from gateway_simulator.checks import ApiError, bad_request
from gateway_simulator.context import Gateway, gateway, note
from gateway_simulator.faults import Faults
from gateway_simulator.ledger import Ledger
from gateway_simulator.metrics import OUTCOMES, Metrics
from gateway_simulator.refunds import Refunds, utc_now
from gateway_simulator.settings import Settings

MOST_BODY_BYTES = 64 * 1024
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HTTP_ERRORS: dict[int, tuple[str, str]] = {
    404: ("not_found", "There is no such resource."),
    405: ("method_not_allowed", "This resource does not support this method."),
    413: ("body_too_large", f"The body is larger than {MOST_BODY_BYTES} bytes. Send less."),
}
_UNANSWERED = {"off", "hang", "lost_answer"}
_QUIET = {"health", "metrics"}  # polled every few seconds
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def create_app(
    settings: Settings,
    *,
    rng: random.Random | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = utc_now,
) -> Flask:
    """Create the application and its ledger. Raises OSError or sqlite3.Error if that fails."""
    app = Flask(__name__)
    # One more than allowed: Werkzeug silently truncates a chunked body at this length.
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES + 1
    app.json.sort_keys = False  # type: ignore[attr-defined] # Flask's default provider has it
    ledger = Ledger(settings.ledger)
    ledger.create()
    faults = Faults(rng)
    metrics = Metrics(held=lambda: faults.held)
    refunds = Refunds(ledger, faults, clock=clock, on_change=metrics.changed)
    app.extensions["gateway"] = Gateway(settings, ledger, refunds, faults, metrics, sleep)
    app.before_request(_begin)
    app.before_request(_admit)
    app.after_request(_finish)
    app.teardown_request(_forget)
    app.register_error_handler(ApiError, _refused)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(UnicodeDecodeError, _undecodable)
    app.register_error_handler(Exception, _failed)
    for part in (api, refund_api, operation, pages):
        app.register_blueprint(part.bp)
    return app


def authorised(header: str | None, secret: str) -> bool:
    """Return whether an Authorization header has ``secret`` as its bearer token."""
    scheme, _, given = (header or "").partition(" ")
    return scheme.lower() == "bearer" and pages.same_secret(given.strip(), secret)


def _begin() -> None:
    g.started = time.perf_counter()
    g.outcome = None
    g.fields = {}
    logs.request_id.set(str(uuid.uuid4()))
    given = request.headers.get("X-Request-ID", "")
    if not _REQUEST_ID.fullmatch(given):
        return
    if authorised(request.headers.get("Authorization"), gateway().settings.api_key):
        logs.request_id.set(given)  # the shop's: its order can be followed here
    else:
        note(client_request_id=given)


def _admit() -> Response | None:
    """Apply the faults that affect every call, then check authorization and body size."""
    gw = gateway()
    is_api = request.path.startswith("/v1/")
    if is_api and gw.faults.now().off:
        note("off")
        return wire.close_unanswered()
    if is_api:
        _require(gw.settings.api_key, "GATEWAY_API_KEY")
    elif request.path == "/faults" or request.path.startswith(("/refunds/", "/charges/")):
        _require(gw.settings.faults_token, "GATEWAY_FAULTS_TOKEN")
    try:
        size = len(request.get_data())
    except (OSError, ParseException) as error:  # such as a chunk without a valid size
        raise bad_request("The body cannot be read.") from error
    if size > MOST_BODY_BYTES:
        raise RequestEntityTooLarge
    if is_api and gw.faults.now().latency_ms:
        gw.sleep(gw.faults.now().latency_ms / 1000)
    return None


def _require(secret: str, name: str) -> None:
    if not authorised(request.headers.get("Authorization"), secret):
        raise ApiError(401, "unauthorized", f"Send the header Authorization: Bearer <{name}>.")


def _operation() -> str:
    """Return the operation, which is the name of the endpoint in api and pages."""
    name = (request.endpoint or "other").rpartition(".")[2]
    if name == "static":
        return "page"
    return name if name in OUTCOMES else "other"


def _finish(response: Response) -> Response:
    """Add the common headers; count and log the request."""
    response.headers["X-Request-ID"] = logs.request_id.get() or ""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    operation = _operation()
    seconds = time.perf_counter() - g.started
    outcome = g.outcome or _outcome(response.status_code)
    if outcome not in OUTCOMES[operation]:  # an unknown outcome must not fail a recorded charge
        outcome = "failed"
    gateway().metrics.request(operation, outcome, seconds)
    logs.event(
        f"gateway.{operation}",
        logging.DEBUG if operation in _QUIET else logging.INFO,
        method=request.method,
        path=request.path[:200],
        http_status=None if outcome in _UNANSWERED else response.status_code,
        outcome=outcome,
        duration_ms=round(seconds * 1000, 3),
        **g.fields,
    )
    return response


def _outcome(code: int) -> str:
    if code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "failed"
    return "refused" if code >= HTTPStatus.BAD_REQUEST else "ok"


def _forget(_error: BaseException | None) -> None:
    # The thread's next log line may be outside a request.
    logs.request_id.set(None)


def _refused(error: ApiError) -> tuple[Response, int]:
    return jsonify(error=error.error, message=error.message), error.status


def _http_error(error: HTTPException) -> tuple[Response, int]:
    status = HTTPStatus(error.code or 500)
    plain = (status.name.lower(), error.description or status.phrase)
    name, message = _HTTP_ERRORS.get(status, plain)
    return jsonify(error=name, message=message), status


def _undecodable(_error: UnicodeDecodeError) -> tuple[Response, int]:
    """Refuse a query with raw bytes, which Werkzeug fails to read."""
    return _refused(bad_request("Percent-encode the query, in UTF-8."))


def _failed(_error: Exception) -> tuple[Response, int]:
    logs.LOGGER.exception("event=gateway.failed")
    message = "The gateway failed. Look up the outcome before you try again."
    return jsonify(error="internal_error", message=message), 500

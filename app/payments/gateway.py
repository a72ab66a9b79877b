"""HTTP client of the payment gateway."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.conf import settings

from retail.calls import Answer as HttpAnswer
from retail.calls import Limits, NotConnectedError, Server
from retail.observability import current_request_id
from retail.sockets import TooMuchDataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal


class Answer(StrEnum):
    """The gateway's answer about a payment key, or UNSENT if it never had to answer."""

    APPROVED = "approved"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    REJECTED = "rejected"  # the request is invalid, whatever the card: the shop's fault
    UNSENT = "unsent"  # the charge was never sent, and never will be


class NoAnswerError(Exception):
    """The gateway gave no valid answer; the charge may or may not have happened.

    It cannot have happened if `maybe_sent` is False: no connection was made.
    """

    outcome = "error"

    def __init__(self, *args: object, maybe_sent: bool = True) -> None:
        super().__init__(*args)
        self.maybe_sent = maybe_sent


class GatewayTimeoutError(NoAnswerError):
    """The gateway did not answer in time."""

    outcome = "timeout"


@dataclass(frozen=True)
class Charge:
    """A charge of `amount` in `currency` to the buyer's payment `token`.

    The idempotency `key` makes it one charge, however often it is sent.
    """

    key: str
    amount: Decimal
    currency: str
    token: str
    reference: str


_VALID_ANSWERS = {
    200: {Answer.APPROVED, Answer.DECLINED, Answer.CANCELLED},
    402: {Answer.DECLINED},
    409: {Answer.CANCELLED},
}
REJECTED = (400, 413, 422)

ANSWER_SIZE = 64 * 1024  # bytes, far more than the answer to a charge has
QUESTION_SECONDS = 1  # to read the answer to whether it is a simulator
LEDGER_SIZE = 4 * 1024 * 1024  # a page of the ledger

_local = threading.local()


def _server() -> Server:
    """Return this thread's connection to the gateway."""
    server: Server | None = getattr(_local, "server", None)
    if server is None or server.url != settings.GATEWAY_URL:
        if server is not None:
            server.close()
        server = _local.server = Server(settings.GATEWAY_URL)
    return server


def call(
    method: str,
    path: str,
    headers: Mapping[str, str],
    payload: Mapping[str, Any] | None = None,
    *,
    size: int = ANSWER_SIZE,
) -> HttpAnswer:
    """Send a request and return the answer. Raises NoAnswerError.

    However slowly the gateway answers, the call ends GATEWAY_CONNECT_TIMEOUT plus
    GATEWAY_READ_TIMEOUT seconds after its start. Resolving its name is limited by RES_OPTIONS only.
    """
    limits = Limits(settings.GATEWAY_CONNECT_TIMEOUT, settings.GATEWAY_READ_TIMEOUT, size)
    sent_headers = {
        "Authorization": f"Bearer {settings.GATEWAY_API_KEY}",
        "X-Request-ID": current_request_id(),
        "Content-Type": "application/json",
        **headers,
    }
    body = None if payload is None else json.dumps(payload).encode()
    try:
        return _server().call(method, path, headers=sent_headers, body=body, limits=limits)
    except (OSError, HTTPException, ValueError) as error:
        not_connected = isinstance(error, NotConnectedError)
        cause = error.__cause__ if not_connected else error
        endless = isinstance(cause, TimeoutError | TooMuchDataError)
        kind = GatewayTimeoutError if endless else NoAnswerError
        reason = f"{type(cause).__name__}: {error}"
        raise kind(reason, maybe_sent=not not_connected) from error


def parse(content: bytes) -> Any:
    """Return what the gateway has sent. Raises NoAnswerError if it is not JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NoAnswerError(f"{type(error).__name__}: {error}") from error


def _send(method: str, path: str, key: str, payload: Mapping[str, Any] | None = None) -> Answer:
    """Send a request and return the gateway's answer. Raises NoAnswerError without a valid one."""
    status, content = call(method, path, {"Idempotency-Key": key}, payload)
    if status in REJECTED:
        return Answer.REJECTED
    body = parse(content)
    try:
        answer = Answer(body["status"])
    except (ValueError, KeyError, TypeError) as error:
        raise NoAnswerError(f"{type(error).__name__}: {error}") from error
    if answer not in _VALID_ANSWERS.get(status, ()) or body.get("key", key) != key:
        raise NoAnswerError(f"unexpected answer: {status} with status {answer}")
    return answer


def charge(request: Charge) -> Answer:
    """Charge the buyer's card. Raises NoAnswerError."""
    return _send(
        "POST",
        "/v1/charges",
        request.key,
        {
            "amount": f"{request.amount:.2f}",
            "currency": request.currency,
            "token": request.token,
            "reference": request.reference,
        },
    )


def cancel(key: str) -> Answer:
    """Cancel the key for good, or return the outcome if it was used. Raises NoAnswerError."""
    answer = _send("POST", f"/v1/charges/{key}/cancel", key)
    if answer is Answer.REJECTED:
        raise NoAnswerError("a rejected cancellation does not tell the charge's outcome")
    return answer


def read(path: str, query: Mapping[str, Any]) -> Any:
    """Send a GET request and return the JSON response. Raises NoAnswerError."""
    path = f"{path}?{urlencode(query, doseq=True)}"
    status, content = call("GET", path, {}, size=LEDGER_SIZE)
    if status != HTTPStatus.OK:
        raise NoAnswerError(f"unexpected status {status} for {path}")
    return parse(content)


def is_marked() -> bool:
    """Return whether the gateway says that it is a simulator. Raises NoAnswerError.

    Takes no longer than `longest_question`. Whatever else it answers is a provider's.
    """
    limits = Limits(settings.GATEWAY_CONNECT_TIMEOUT, QUESTION_SECONDS, ANSWER_SIZE)
    # Not the thread's connection: who starts the shop forks afterwards.
    try:
        with closing(Server(settings.GATEWAY_URL)) as server:
            content = server.call("GET", "/healthz", headers={}, limits=limits).body
        body = json.loads(content)
    except (OSError, HTTPException) as error:
        sent = not isinstance(error, NotConnectedError)
        raise NoAnswerError(f"{type(error).__name__}: {error}", maybe_sent=sent) from error
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and body.get("simulator") is True


def longest_question() -> float:
    """Return how many seconds `is_marked` can take."""
    return float(settings.GATEWAY_CONNECT_TIMEOUT + QUESTION_SECONDS)

"""HTTP client of the payment gateway."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests
from django.conf import settings
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from retail.observability import current_request_id

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
_REJECTED = (400, 413, 422)

_local = threading.local()


def _session() -> requests.Session:
    """Return this thread's session, with its own keep-alive connections."""
    session: requests.Session | None = getattr(_local, "session", None)
    if session is None:
        session = _local.session = requests.Session()
        session.trust_env = False  # no proxy from the environment for payments
    return session


def _maybe_sent(error: Exception) -> bool:
    """Whether the request may have reached the gateway; yes if in doubt.

    No, if no connection was made: refused, timed out while connecting, unknown host. A broken
    connection may have carried the request, including a keep-alive connection closed by the peer.
    """
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)
    return not isinstance(reason, ConnectTimeoutError | NewConnectionError)


def _send(method: str, path: str, key: str, payload: Mapping[str, Any] | None = None) -> Answer:
    """Send a request and return the gateway's answer. Raises NoAnswerError without a valid one."""
    try:
        response = _session().request(
            method,
            f"{settings.GATEWAY_URL}{path}",
            json=payload,
            headers={
                "Authorization": f"Bearer {settings.GATEWAY_API_KEY}",
                "Idempotency-Key": key,
                "X-Request-ID": current_request_id(),
            },
            timeout=(settings.GATEWAY_CONNECT_TIMEOUT, settings.GATEWAY_READ_TIMEOUT),
            allow_redirects=False,
        )
        if response.status_code in _REJECTED:
            return Answer.REJECTED
        body = response.json()
        answer = Answer(body["status"])
    except requests.Timeout as error:
        raise GatewayTimeoutError(str(error), maybe_sent=_maybe_sent(error)) from error
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise NoAnswerError(reason, maybe_sent=_maybe_sent(error)) from error
    if answer not in _VALID_ANSWERS.get(response.status_code, ()) or body.get("key", key) != key:
        raise NoAnswerError(f"unexpected answer: {response.status_code} with status {answer}")
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
    try:
        response = _session().get(
            f"{settings.GATEWAY_URL}{path}",
            params=query,
            headers={
                "Authorization": f"Bearer {settings.GATEWAY_API_KEY}",
                "X-Request-ID": current_request_id(),
            },
            timeout=(settings.GATEWAY_CONNECT_TIMEOUT, settings.GATEWAY_READ_TIMEOUT),
            allow_redirects=False,
        )
        response.raise_for_status()
        if response.status_code != HTTPStatus.OK:
            raise NoAnswerError(f"unexpected status {response.status_code} for {path}")
        return response.json()
    except (requests.RequestException, ValueError) as error:
        raise NoAnswerError(f"{type(error).__name__}: {error}") from error

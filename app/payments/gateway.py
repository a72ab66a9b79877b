"""The payment gateway's HTTP API, as the shop speaks it."""

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
    """What the gateway says of a payment key."""

    APPROVED = "approved"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    REJECTED = "rejected"  # it will not take this charge, whatever the card: our mistake


class NoAnswerError(Exception):
    """The gateway gave no answer that means anything; the charge may or may not have happened.

    With `maybe_sent` False it cannot have: no connection to the gateway was made.
    """

    outcome = "error"

    def __init__(self, *told: object, maybe_sent: bool = True) -> None:
        super().__init__(*told)
        self.maybe_sent = maybe_sent


class GatewayTimeoutError(NoAnswerError):
    """The gateway did not answer in time."""

    outcome = "timeout"


@dataclass(frozen=True)
class Charge:
    """What is to be paid: `amount` in units of `currency`, with the buyer's payment `token`.

    `key` makes it one charge however often it is sent.
    """

    key: str
    amount: Decimal
    currency: str
    token: str
    reference: str


_STATUS = {
    200: {Answer.APPROVED, Answer.DECLINED, Answer.CANCELLED},
    402: {Answer.DECLINED},
    409: {Answer.CANCELLED},
}
_REJECTED = (400, 413, 422)

_local = threading.local()


def _session() -> requests.Session:
    """Return this thread's session: connections are kept, and never shared between threads."""
    session: requests.Session | None = getattr(_local, "session", None)
    if session is None:
        session = _local.session = requests.Session()
        session.trust_env = False  # no proxy from the environment between the shop and its money
    return session


def _maybe_sent(error: Exception) -> bool:
    """Whether the request may have reached the gateway: in doubt, yes.

    Surely not where no connection was made: refused, timed out while connecting, no such host. A
    connection that broke may have carried it, above all a kept one that the other side had closed.
    """
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)
    return not isinstance(reason, ConnectTimeoutError | NewConnectionError)


def _send(method: str, path: str, key: str, body: Mapping[str, Any] | None = None) -> Answer:
    """Send one request and return the gateway's answer.

    Raises NoAnswerError for everything that is not a clear answer.
    """
    try:
        response = _session().request(
            method,
            f"{settings.GATEWAY_URL}{path}",
            json=body,
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
        said = response.json()
        answer = Answer(said["status"])
    except requests.Timeout as error:
        raise GatewayTimeoutError(str(error), maybe_sent=_maybe_sent(error)) from error
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        told = f"{type(error).__name__}: {error}"
        raise NoAnswerError(told, maybe_sent=_maybe_sent(error)) from error
    if answer not in _STATUS.get(response.status_code, ()) or said.get("key", key) != key:
        raise NoAnswerError(f"{response.status_code} with status {answer} makes no sense")
    return answer


def charge(wanted: Charge) -> Answer:
    """Ask for a charge. Raises NoAnswerError."""
    return _send(
        "POST",
        "/v1/charges",
        wanted.key,
        {
            "amount": f"{wanted.amount:.2f}",
            "currency": wanted.currency,
            "token": wanted.token,
            "reference": wanted.reference,
        },
    )


def cancel(key: str) -> Answer:
    """Have the key refused for ever, or learn what became of it. Raises NoAnswerError."""
    answer = _send("POST", f"/v1/charges/{key}/cancel", key)
    if answer is Answer.REJECTED:
        raise NoAnswerError("a refused cancellation says nothing about the charge")
    return answer


def read(path: str, query: Mapping[str, Any]) -> Any:
    """Return the JSON that the gateway answers a question with; nothing moves by asking.

    Raises NoAnswerError.
    """
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
            raise NoAnswerError(f"{response.status_code} instead of {path}")
        return response.json()
    except (requests.RequestException, ValueError) as error:
        raise NoAnswerError(f"{type(error).__name__}: {error}") from error

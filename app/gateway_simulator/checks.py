"""Validation of requests: each function returns clean values or raises ApiError."""

import json
import re
from decimal import Decimal
from typing import Any

from gateway_simulator.records import Order
from gateway_simulator.refund_records import RefundOrder

KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_AMOUNT = re.compile(r"[0-9]{1,10}(\.[0-9]{1,2})?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_LONGEST_TEXT = 100
MOST_ROWS = 1000
MOST_KEYS = 50  # fits gunicorn's limit of 4094 bytes for the request line
_MOST_ID = 2**63 - 1  # SQLite's largest integer


class ApiError(Exception):
    """An error response: status, ``error`` code, and a message that says what to do."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message


def bad_request(message: str) -> ApiError:
    """Return the error for invalid input; ``message`` says what to send instead."""
    return ApiError(400, "bad_request", message)


def idempotency_key(text: str | None) -> str:
    """Check the Idempotency-Key header."""
    if text is None or not KEY.fullmatch(text):
        raise bad_request(
            "Send the header Idempotency-Key: 1 to 64 characters of A-Z, a-z, 0-9, _ and -."
        )
    return text


def charge_key(value: object) -> str:
    """Check the key of a charge, from the URL or the body."""
    if not isinstance(value, str) or not KEY.fullmatch(value):
        raise bad_request("The charge's key is 1 to 64 characters of A-Z, a-z, 0-9, _ and -.")
    return value


def json_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object from the body."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):  # RecursionError: deeply nested brackets
        value = None
    if not isinstance(value, dict):
        raise bad_request("Send a JSON object in UTF-8 as the body.")
    return value


def charge_order(body: dict[str, Any], least: Decimal, most: Decimal) -> tuple[Order, str]:
    """Check the body of a charge; return the order and the card token."""
    currency = body.get("currency")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise bad_request("currency must be three capital letters, such as EUR.")
    order = Order(amount(body.get("amount"), least, most), currency, _text(body, "reference"))
    return order, _text(body, "token")


def refund_order(body: dict[str, Any], least: Decimal, most: Decimal) -> RefundOrder:
    """Check the body of a refund. Its reference may be missing."""
    reference = None if body.get("reference") is None else _text(body, "reference")
    return RefundOrder(
        charge_key(body.get("charge_key")), amount(body.get("amount"), least, most), reference
    )


def amount(value: object, least: Decimal, most: Decimal) -> Decimal:
    """Check an amount: a string from ``least`` to ``most``, with at most two decimals."""
    if isinstance(value, str) and _AMOUNT.fullmatch(value) and least <= Decimal(value) <= most:
        return Decimal(value)
    raise bad_request(
        f"amount must be a string such as '12.50': from {least} to {most}, up to two decimals."
    )


def whole_number(text: str | None, name: str, default: int, least: int, most: int) -> int:
    """Check a whole number from ``least`` to ``most`` in the query."""
    if text is None:
        return default
    if re.fullmatch(r"[0-9]{1,19}", text) and least <= int(text) <= most:
        return int(text)
    raise bad_request(f"{name} must be a whole number from {least} to {most}.")


def page_of_rows(after: str | None, limit: str | None) -> tuple[int, int]:
    """Check the pagination parameters ``after`` (an id) and ``limit``."""
    return (
        whole_number(after, "after", 0, 0, _MOST_ID),
        whole_number(limit, "limit", 100, 1, MOST_ROWS),
    )


def charge_keys(values: list[str]) -> list[str]:
    """Check the charge keys in the query."""
    if len(values) > MOST_KEYS:
        raise bad_request(f"Request at most {MOST_KEYS} keys at once.")
    return [charge_key(value) for value in values]


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    # isprintable also rejects lone surrogates, which UTF-8 cannot encode.
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT and value.isprintable():
        return value
    raise bad_request(f"{name} must be a string of 1 to {_LONGEST_TEXT} printable characters.")

"""Secrets that are looked for afterwards: in headers, queries, paths and forms."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from retail.observability.logs.formatter import JsonFormatter

if TYPE_CHECKING:
    from tests.fuzz.forms import Form

RESET = "c9zzz1-" + "0123456789abcdef" * 2
SESSION = "kq" + "9z0y8x7w6v" * 3
CSRF = "Kq" + "9z0Y8x7W6v" * 3
CARD = "4000056655665556"
KEY = "sk_live_51Hcanary"
MAIL = "canary.bird+shop@post.example.com"
SECRETS = (RESET, SESSION, CSRF, CARD, KEY, MAIL)
# What no pattern can find: it must never be logged in the first place.
WORD = "Kanarienvogelweg"
BEARER = "canary-bearer"
CANARIES = (*SECRETS, WORD, BEARER, "canary.bird", RESET[7:])
PATHS = (
    *(f"/accounts/password-reset/MQ/{RESET}", f"/accounts/password-reset/MQ/{RESET}/"),
    *(f"/accounts/confirm-email/MQ/{RESET}", f"/accounts/confirm-email/MQ/{RESET}/"),
    *(f"/{RESET}/", f"/orders/{CARD}/", f"/nowhere/{MAIL}", f"/nowhere/password={WORD}"),
    f"/{SESSION}",
)
# In a request's headers a client may write anything. The shop logs X-Request-ID, so it is not here.
HEADERS: dict[str, Any] = {
    "HTTP_AUTHORIZATION": f"Bearer {BEARER}",
    "HTTP_X_API_KEY": KEY,
    "HTTP_REFERER": f"http://testserver/accounts/password-reset/MQ/{RESET}/?email={MAIL}",
    "HTTP_ORIGIN": f"https://{WORD}.example",
    "HTTP_USER_AGENT": f"{WORD} {MAIL}",
    "HTTP_X_CSRFTOKEN": CSRF,
    "HTTP_X_FORWARDED_FOR": f"{CARD}, {WORD}",
    "HTTP_FORWARDED": f"for={WORD}",
    "HTTP_ACCEPT": f"text/html;q=1, {WORD}/{CSRF}",
    "HTTP_ACCEPT_LANGUAGE": f"de, {WORD}",
    "HTTP_IF_NONE_MATCH": f'"{SESSION}"',
    "HTTP_TRACESTATE": f"a={CSRF}",
}
COOKIES = f"csrftoken={CSRF}; remember={SESSION}; card={CARD}"
QUERY = urlencode(
    {"q": f"{WORD} {CARD}", "next": f"/{RESET}/", "email": MAIL, "token": CSRF, "password": WORD}
)
# Valid where a wrong value would stop the form before anything else is read.
_KEPT = {"quantity", "product_id", "payment_token", "idempotency_key", "slug", "price", "action"}
# Staff give a reason for the night shift to read in the log.
_LOGGED = {"reason"}
_BY_NAME = {"email": MAIL, "delivery_address": f"7 {WORD}, {MAIL}", "username": f"{WORD}.name"}


def body_of(form: Form, token: str) -> str:
    """Return a form with a canary in each field that takes a text."""
    pairs = []
    for each in form.inputs:
        values = each.values or each.choices[:1]
        if each.name == "csrfmiddlewaretoken":
            values = [token]
        elif not each.choices and each.name not in _KEPT | _LOGGED and values in ([""], []):
            values = [_BY_NAME.get(each.name, f"{WORD}-{CARD}")]
        pairs += [(each.name, value) for value in values]
    return urlencode([*pairs, *form.buttons[:1]])


class Lines(logging.Handler):
    """Collects every line as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(JsonFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def leaks(texts: list[str]) -> list[str]:
    """Return the texts that contain a canary."""
    return [text[:2000] for text in texts if any(canary in text for canary in CANARIES)]

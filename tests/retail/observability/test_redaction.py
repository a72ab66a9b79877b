"""No secret is logged, wherever in a text it stands; what only looks like one is."""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.core import signing
from django.middleware.csrf import _get_new_csrf_string
from hypothesis import given
from hypothesis import strategies as st

from gateway_simulator import logs
from redaction import redacted
from retail.observability.logs.formatter import JsonFormatter

RESET = default_token_generator.make_token(User(pk=1, password="x"))
SESSION = "k3v0a1wq9zr5t7yb2xj8mncd4hgfpsel"
CSRF = _get_new_csrf_string() + "aB3" * 11
HASH = make_password("correct-horse-battery")
SIGNED = signing.dumps({"user": 1, "for": "a long enough text"})
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4ifQ"
CARD = "4242424242424242"
ROW = "42, bea, 7 Nobody Else Lane\n(back), f"

# A secret, and texts with it. The secret may be in none of the lines.
TEXTS = [
    (RESET, "/accounts/password-reset/MQ/{}"),
    (RESET, "/accounts/password-reset/MQ/{}/"),
    (RESET, "http://shop.example/accounts/password-reset/MQ/{}/?next=/"),
    (RESET, "/{}"),
    (RESET, "Invalid HTTP_HOST header: 'evil.example/accounts/password-reset/MQ/{}/'."),
    (RESET, "/accounts//password-reset/MQ/{}/"),
    (RESET.partition("-")[2], "GET /accounts/password-reset/MQ/c1abcd%2D{}"),
    ("c1-zz", "/accounts/password-reset/MQ/{}/"),
    ("c1-zz", "/accounts/confirm-email/MQ/{}/"),
    (SESSION, "{}"),
    (SESSION, "no session {} found"),
    (SESSION, "/{}/"),
    (CSRF, "{}"),
    (CSRF, "token {}."),
    (JWT, "/x/{}"),
    (SIGNED, "sent {}"),
    (HASH, "User(pk=1, {})"),
    (HASH, "{}"),
    ("hunter2", "password={}"),
    ("hunter2", "/accounts/login/password={}"),
    ("hunter2", "new_password1={}&new_password2={}"),
    ("hunter2", "PASSWORD : {}"),
    ("hunter2", "{{'password': '{}', 'x': 1}}"),
    ("hunter2", '{{"password": "{}"}}'),
    ("hunter2", r'{{\"password\": \"{}\"}}'),
    ("hunter two", "password='{}"),
    ("hunter two", "'password': ['x y', '{}']"),
    ("hunter two", "<QueryDict: {{'password': ['{}']}}>"),
    ("hun'ter\\", "password={!r}"),
    ("hunter2", "password%3D{}"),
    ("hunter2", "kwargs['password'] = '{}'"),
    ("hunter2", "PGPASSWORD={}"),
    ("hunter2", "Authorization: Bearer {}"),
    ("hunter2", "bearer {}"),
    ("hunter2", "/nowhere/Bearer%20{}"),
    ("hunter2", "Bearer\t{}"),
    ("YWRtaW46aHVudGVyMg==", "Basic {}"),
    ("hunter2", "'HTTP_COOKIE': 'a=1; sessionid={}'"),
    ("hunter2", "Cookie: a=1; b=2; {}"),
    ("hunter2", "Set-Cookie: x={}; Path=/"),
    ("hunter2", "csrfmiddlewaretoken={}&x=1"),
    ("hunter2", "could not connect to postgresql://retail_user:{}@db:5432/retail"),
    ("hun@ter/2", "redis://:{}@cache:6379"),
    ("sk_live_51H8abc", "key {}"),
    ("tok_good", "card {}"),
    (CARD, "{}"),
    (CARD, "/{}/"),
    (CARD, "paid with {}."),
    ("4242 4242 4242 4242", "{}"),
    ("4242-4242-4242-4242", "number {}"),
    ("378282246310005", "{}"),
    ("123", "cvc: {}"),
    ("DE89370400440532013000", "iban={}"),
    ("bea@example.com", "to {}"),
    ("bea@example.com", "/find/{}/"),
    ("bea%40example.com", "/find/{}/"),
    ("o'brien@example.com", "to {}"),
    ("bea#1@example.com", "to {}"),
    ("bea@localhost", "to {}"),
    ("bea@[127.0.0.1]", "to {}"),
    ("bea@büro.example", "to {}"),
    ("bea!x", "to {}@example.com"),
    ("7 Nobody Else Lane", "delivery_address='{}'"),
    ("Bea Buyer", '{{"full_name": "{}"}}'),
    ("+44 20 7946", "'phone': '{}'"),
    (ROW, "null value violates it\nDETAIL:  Failing row contains ({}).\n\nThe above exception"),
    ("Nobody Else", "twice\nDETAIL:  Key (name, street)=(Bea, {}) already exists."),
    ("Nobody Else", "invalid input\nLINE 1: INSERT INTO a VALUES ('{}'\n          ^"),
]  # fmt: skip
SHOWN = [
    *("GET", "/products/aurora-desk-lamp/", "products:product", "accounts:password_reset_confirm"),
    *("/accounts/password-reset/", "/accounts/password-reset/sent/", "/orders/VT-23456789AB/"),
    *("0f8fad5bd9cb469fa165708677289500", "0f8fad5b-d9cb-469f-a165-708677289500"),
    *("0.1234567890123456", "-0.4242424242424242", "2026-11-22T23:59:59.987"),
    *("1234567890123456", "retail_circuit_breaker_transitions_total", "a" * 40, "VT-1: sold out"),
    *("the-longest-name-that-any-of-our-products-2-and-3-has", "unknown card", "no such token"),
    *("connection to 127.0.0.1 refused: is it running?", "Watching for file changes", "a = b"),
    *("ValueError: stock of product 7", "Listening at: http://0.0.0.0:8000 (12)"),
    "deadlock detected\nDETAIL:  Process 12 waits for ShareLock on transaction 5; blocked by 13.",
]


def shop_line(**extra: object) -> str:
    record = logging.LogRecord("retail.test", logging.WARNING, __file__, 1, "event=x", None, None)
    record.__dict__.update(extra)
    return JsonFormatter().format(record)


def text_of(line: str) -> str:
    """Return a line's texts as they are read."""
    return (
        json.dumps(json.loads(line), ensure_ascii=False).replace("\\\\", "\\").replace('\\"', '"')
    )


@pytest.mark.parametrize(
    ("secret", "text"), TEXTS, ids=[str(number) for number in range(len(TEXTS))]
)
def test_a_secret_is_nowhere_in_a_line(secret: str, text: str) -> None:
    full = text.format(*[secret] * 3)
    assert full not in SHOWN
    for line in (
        shop_line(fact=full),
        shop_line(facts=[{"a": (full,)}], by={full: 1}),
        shop_line(error=ValueError(full)),
        shop_line(exc_text=f"Traceback:\nValueError: {full}"),
    ):
        for part in secret.split("\n"):
            assert part not in text_of(line)
    record = logging.LogRecord("gateway", logging.INFO, "", 1, "%s", (full,), None)
    gateway = logs.JsonFormatter().format(record)
    record.__dict__["extra"] = {"path": full, "more": [full]}
    for line in (gateway, logs.JsonFormatter().format(record)):
        for part in secret.split("\n"):
            assert part not in text_of(line)


@pytest.mark.parametrize("text", SHOWN)
def test_what_is_no_secret_is_shown(text: str) -> None:
    assert redacted(text) == text
    assert json.loads(shop_line(fact=text))["extra"] == {"fact": text}


def test_what_stands_around_a_secret_is_shown() -> None:
    assert redacted(f"GET /accounts/password-reset/MQ/{RESET}/ 400") == (
        "GET /accounts/password-reset/MQ/[hidden]/ 400"
    )
    assert redacted("a=1&password=x&b=2") == "a=1&password=[hidden]&b=2"
    assert redacted("postgresql://u:p@db:5432/retail") == "postgresql://[hidden]@db:5432/retail"
    row = "DETAIL:  Failing row contains (1, bea).\n\nThe above"
    assert redacted(row) == "DETAIL:  Failing row contains ([hidden]).\n\nThe above"


def test_fields_of_a_dataclass_are_hidden_by_name() -> None:
    @dataclasses.dataclass
    class Login:
        user_id: int
        password: str
        text: str

    login = Login(7, "hunter2", f"card {CARD}")
    assert json.loads(shop_line(login=login))["extra"] == {
        "login": {"user_id": 7, "password": "[hidden]", "text": "card [hidden]"}
    }


@given(text=st.text(max_size=300))
def test_any_text_can_be_redacted(text: str) -> None:
    once = redacted(text)
    assert isinstance(once, str)
    assert redacted(redacted(once)) == redacted(once)


@given(
    around=st.tuples(*[st.text(alphabet=" /?&.,;:<>()|", max_size=5)] * 2),
    secret=st.sampled_from([RESET, SESSION, CSRF, CARD, "bea@example.com", JWT]),
)
def test_a_secret_is_found_between_any_punctuation(around: tuple[str, str], secret: str) -> None:
    assert secret not in redacted(around[0] + secret + around[1])


def test_a_text_of_any_length_is_searched() -> None:
    padding: Any = "word " * 1000
    assert RESET not in redacted(padding + RESET)
    assert "hunter2" not in redacted(f"{padding}password=hunter2 {padding}")


def test_no_logger_has_a_handler_that_does_not_redact() -> None:
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    known = {"django.server", "django.request", "django.security", "gunicorn.error"}
    assert known <= {logger.name for logger in loggers if logger.propagate and not logger.handlers}

"""Removes secrets from what is logged. Imports nothing: the shop and the gateway both use it.

Texts are searched for what secrets look like (tokens, keys, cards, e-mail addresses), and for what
is written before those that may look like anything (`password=`, `Cookie:`).
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

HIDDEN = "[hidden]"
_DEEPEST = 8  # fields are nearly flat; deeper nesting may be a cycle
_NESTED = (dict, list, tuple, set, frozenset)
_SHORTEST = 5  # a shorter text holds no secret that has a shape
_CARD_LENGTH = 13
_TOKEN_LENGTH = 32
_CACHED = 200  # characters; texts such as methods, views and paths repeat

# Names of fields, and of what is written before a value in a text.
_NAME = (
    r"pass(?:word|wd|phrase)|pwd|secret|authori[sz]ation|cookie|session|csrf|token|credential|otp|"
    r"(?:api|private|secret|access)[_-]?key|card|cvc|cvv|iban|e?mail|phone|full_?name|delivery|"
    r"(?<!ip_)(?<!remote_)address"
)
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
# A name and what stands between it and its value, in code, JSON, headers and URLs.
_ASSIGNMENT = re.compile(r"""(?<![\w-])([\w-]+)[\\"'\]]{0,3}\s?(?:=>?|:|%3[aAdD])\s?""")
# In quotes or brackets, also without the closing one, or a word.
_QUOTED = (
    r"""\\"[^"\\\n]*\\"|b?"(?:[^"\\\n]|\\.)*"|b?'(?:[^'\\\n]|\\.)*'|"""
    r"""\[[^\]\n]*\]|\([^)\n]*\)|\\?b?["'\[(][^\n]*"""
)
_VALUE = re.compile(rf"""{_QUOTED}|[^\s,;&"'{{}})\]]+""")
_HEADER = re.compile(r"cookie|authori[sz]ation", re.IGNORECASE)  # with blanks in the value
_HEADER_VALUE = re.compile(rf"""{_QUOTED}|[^"'\n]+""")
_BEARER = re.compile(
    r"\b((?:bearer|basic(?=\W{1,3}[\w+/]{6}))(?:[\s+]|%20)+)[\w.~+/=-]+", re.IGNORECASE
)
_LINK = re.compile(
    r"((?:password-reset|confirm-email)(?:/|%2[fF])[^/\s%]*(?:/|%2[fF]))[^/\s\"'?#]+"
)
_RUN = re.compile(r"[\w-]{32,}", re.ASCII)  # in which tokens are searched for
_TOKEN = re.compile(
    # Of Django's reset links: base 36, then a keyed hash. A UUID of 32 digits alone is an id.
    r"(?<![A-Za-z0-9])[0-9a-z]{5,8}-[0-9a-f]{32}(?!\w)|"
    # A session key, a CSRF token, a random token in base 64 or in hexadecimal.
    r"(?<![\w-])(?:(?=[0-9]*[a-z])(?=[0-9a-f]*[g-z])(?=[a-z]*\d)[0-9a-z]{32,}|"
    r"(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*\d)[\w-]{32,}|(?=[a-fA-F]*\d)[0-9a-fA-F]{40,})(?![\w-])",
    re.ASCII,
)
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:tok|whsec|(?:sk|pk|rk)_(?:live|test))_|AGE-SECRET-KEY-)\w+"
)
_PASSWORD_HASH = re.compile(r"\b(?:pbkdf2_\w+|argon2\w*|scrypt|bcrypt\w*|md5|sha1)\$\S+")
_URL_PASSWORD = re.compile(r"(://)[^/\s\"']*@")
# Starting only at the beginning of a word keeps long texts without an address cheap.
_LOCAL = r"\w.+!#$%&*?^`{|}~'-"
_EMAIL = re.compile(
    rf"(?<![{_LOCAL}])(?:[{_LOCAL}]+|\"[^\"\n]{{1,64}}\")(?:@|%40)(?:[\w-]+(?:\.[\w.-]+)?|\[[\w.:]+\])"
)
# What PostgreSQL quotes of a row or of a statement.
_ROW = re.compile(
    r"(Failing row contains )\(.*?\)(?=\.(?:\n|$))|"
    r"(Key \([^\n]*?\)=)\(.*?\)(?= (?:already|is|conflicts|would))|"
    r"^(LINE \d+: )[^\n]*",
    re.DOTALL | re.MULTILINE,
)
_DIGITS = re.compile(r"\d(?<!\w\d)(?<!\d\.\d)(?<!\w-\d)(?:[ -]?\d){12,18}(?!-?\w)")


def _has_check_digit(number: str) -> bool:
    """Return whether a number ends with the check digit that all card numbers have."""
    digits = [int(digit) for digit in reversed(number) if digit.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _card(match: re.Match[str]) -> str:
    return HIDDEN if _has_check_digit(match[0]) else match[0]


def _row(match: re.Match[str]) -> str:
    return f"{match[1] or match[2] or match[3]}({HIDDEN})"


def _without_values(text: str) -> str:
    """Hide what is assigned to names that say that it is secret."""
    pieces, here = [], 0
    while match := _ASSIGNMENT.search(text, here):
        end = match.end()
        pieces.append(text[here:end])
        if names_secret(match[1]):
            pattern = _HEADER_VALUE if _HEADER.search(match[1]) else _VALUE
            value = pattern.match(text, end)
            if value is not None:
                pieces.append(HIDDEN)
                end = value.end()
        here = end
    return "".join(pieces) + text[here:]


@lru_cache(maxsize=1024)  # there are few field names, and each line has several
def names_secret(name: str) -> bool:
    """Return whether a field of this name is hidden, whatever its value."""
    return _SECRET_NAME.search(name) is not None


def redacted(text: str) -> str:
    """Return `text` without secrets and e-mail addresses."""
    length = len(text)
    if length < _SHORTEST:
        return text
    return _cached(text) if length <= _CACHED else _redacted(text)


def _redacted(text: str) -> str:
    """Search `text` for each kind of secret, if it has what all of this kind have."""
    if "=" in text or ":" in text or "%3" in text:
        text = _without_values(text)
        text = _URL_PASSWORD.sub(rf"\1{HIDDEN}@", text) if "://" in text else text
        text = _ROW.sub(_row, text) if "(" in text or "LINE" in text else text
    if "@" in text or "%40" in text:
        text = _EMAIL.sub("[e-mail]", text)
    if "bearer" in (lower := text.lower()) or "basic" in lower:
        text = _BEARER.sub(rf"\1{HIDDEN}", text)
    if "_" in text:
        text = _KEY.sub(HIDDEN, text)
    if "$" in text:
        text = _PASSWORD_HASH.sub(HIDDEN, text)
    if len(text) >= _CARD_LENGTH:
        text = _DIGITS.sub(_card, text)
    if len(text) >= _TOKEN_LENGTH:
        text = _LINK.sub(rf"\1{HIDDEN}", text)
        text = _RUN.sub(lambda run: _TOKEN.sub(HIDDEN, run[0]), text)
    return text


_cached = lru_cache(maxsize=4096)(_redacted)


def cleaned(name: str, value: Any, depth: int = 0) -> Any:
    """Return `value` without secrets, also inside nested values; `name` may say that it is one."""
    if names_secret(name):
        return HIDDEN
    if isinstance(value, str):
        return redacted(value)
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name, None) for field in fields(value)}
    if not isinstance(value, _NESTED):
        return value
    if depth == _DEEPEST:
        return "[too deep]"
    if isinstance(value, dict):
        return _cleaned_dict(value, depth + 1)
    return [cleaned("", item, depth + 1) for item in value]


def _cleaned_dict(values: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    return {redacted(str(key)): cleaned(str(key), item, depth) for key, item in values.items()}

"""Typed access to environment variables.

Helpers raise `ImproperlyConfigured`, saying what to set, if a value is invalid. They record the
names they read, so that a test can compare them with `.env.example`.
"""

import os
import re
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from deployment import boolean

names_read: set[str] = set()


def _raw(name: str) -> str:
    names_read.add(name)
    return os.environ.get(name, "").strip()


def text(name: str, default: str = "") -> str:
    """Return the variable as text, or `default` if it is unset or empty."""
    return _raw(name) or default


def flag(name: str, *, default: bool) -> bool:
    """Return the variable as a boolean."""
    try:
        return boolean(name, _raw(name), default=default)
    except ValueError as error:
        raise ImproperlyConfigured(str(error)) from error


def number(name: str, default: float, *, least: float = 0) -> float:
    """Return the variable as a number of at least `least`."""
    value = _raw(name)
    if not value:
        return default
    try:
        result = float(value)
    except ValueError:
        result = float("nan")
    if not least <= result < float("inf"):
        raise ImproperlyConfigured(f"{name}={value!r} must be a number of at least {least:g}.")
    return result


def integer(name: str, default: int, *, least: int = 0, most: int = 2**31 - 1) -> int:
    """Return the variable as a whole number from `least` to `most`."""
    result = number(name, default, least=least)
    if result != int(result) or result > most:
        raise ImproperlyConfigured(
            f"{name}={_raw(name)!r} must be a whole number from {least} to {most}."
        )
    return int(result)


def amount(name: str, default: str) -> Decimal:
    """Return the variable as an amount of money, which columns of 12 digits can hold."""
    value = text(name, default)
    if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,2})?", value) or not Decimal(value):
        raise ImproperlyConfigured(
            f"{name}={value!r} must be an amount from 0.01 to 9999999999.99, such as 12.50."
        )
    return Decimal(value)


def address(name: str) -> str:
    """Return the variable as the address of a web site, without the last slash."""
    value = _raw(name).rstrip("/")
    if value and not re.fullmatch(r"https?://[^/?#@\s]+(/[^?#\s]*)?", value):
        raise ImproperlyConfigured(f"{name}={value!r} is not an address: use https://…")
    return value


def one_of(name: str, default: str, choices: tuple[str, ...]) -> str:
    """Return the variable, which must be one of `choices`."""
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} must be one of: {', '.join(choices)}.")
    return value


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """Return the variable's comma-separated values."""
    value = _raw(name)
    return [word.strip() for word in value.split(",") if word.strip()] if value else list(default)


def proxies(name: str) -> int | tuple[str, ...]:
    """Return the variable as a number of proxies, or as the networks that proxies are in."""
    value = _raw(name)
    if not value or re.fullmatch("[0-9]", value):
        return int(value or 0)
    try:
        return tuple(str(ip_network(word)) for word in words(name))
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name}={value!r} must be a number of proxies up to 9, or networks such as "
            "172.16.0.0/12, separated by commas."
        ) from error


def contact(name: str) -> str:
    """Return the variable, an e-mail or an https address, as a URL."""
    value = _raw(name)
    if re.fullmatch(r"[^\s@:/]+@[^\s@/]+", value):
        return f"mailto:{value}"
    if value and not re.fullmatch(r"(?:https://|mailto:)\S+", value):
        raise ImproperlyConfigured(f"{name}={value!r} must be an e-mail or an https address.")
    return value


def folder(name: str, default: Path) -> Path:
    """Return the variable as an absolute path. Does not create the folder."""
    value = _raw(name)
    return Path(value).expanduser().resolve() if value else default


def password_in(url: str) -> str:
    """Return the password in an address; nothing if there is none, or the address is invalid."""
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:
        return ""

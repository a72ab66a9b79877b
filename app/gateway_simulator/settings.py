"""Settings from the environment, read once and checked at startup."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from deployment import Mode, defaults, mode_of, problems

SECRETS = defaults("gateway")  # for development; with DEBUG and DEMO off, they are refused
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_HOME = Path(__file__).resolve().parents[2]  # the folder that holds app/
_HIGHEST_PORT = 65535


class SettingsError(ValueError):
    """An environment variable has an invalid value."""


@dataclass(frozen=True)
class Settings:
    """Settings of a gateway process. The repr, and so the logs, has no secrets."""

    host: str
    port: int  # 0: any free port, which is logged
    ledger: Path
    log_dir: Path
    log_level: str
    console_level: str
    api_key: str = field(repr=False)
    faults_token: str = field(repr=False)
    least: Decimal  # amounts of charges
    most: Decimal
    simulator: bool  # else it stands for a provider: no test cards, and secrets of its own
    cards: frozenset[str] = field(repr=False)  # tokens of further cards that it accepts

    @property
    def address(self) -> str:
        """The address to bind, in gunicorn's format."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def exposed_defaults(self) -> list[str]:
        """Return the secrets that have their default on a publicly reachable host."""
        if _is_loopback(self.host):
            return []
        own = {"GATEWAY_API_KEY": self.api_key, "GATEWAY_FAULTS_TOKEN": self.faults_token}
        return [name for name, value in own.items() if value == SECRETS[name]]


def read(env: Mapping[str, str]) -> Settings:
    """Read the settings from ``env``. Raises SettingsError, which names the variable."""
    log_level = _level(env, "LOG_LEVEL", "INFO")
    secrets = {name: _secret(env, name, default) for name, default in SECRETS.items()}
    mode = _mode(env)
    chosen = Settings(
        host=_text(env, "GATEWAY_HOST", "127.0.0.1"),
        port=_port(env),
        ledger=Path(_text(env, "GATEWAY_LEDGER", str(_HOME / "var" / "gateway.sqlite3"))),
        log_dir=Path(_text(env, "LOG_DIR", str(_HOME / "logs"))),
        log_level=log_level,
        console_level=_level(env, "LOG_CONSOLE_LEVEL", log_level),
        api_key=secrets["GATEWAY_API_KEY"],
        faults_token=secrets["GATEWAY_FAULTS_TOKEN"],
        least=_amount(env, "GATEWAY_MIN_AMOUNT", "0.01"),
        most=_amount(env, "GATEWAY_MAX_AMOUNT", "999999.99"),
        simulator=mode.stand_ins,
        cards=_cards(env),
    )
    if refused := list(problems(secrets, mode)):
        raise SettingsError(" ".join(refused))
    return chosen


def _mode(env: Mapping[str, str]) -> Mode:
    try:
        return mode_of(env)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _text(env: Mapping[str, str], name: str, default: str) -> str:
    value = env.get(name, default).strip()
    if not value:
        raise SettingsError(f"{name} is empty. Set a value, or unset it for the default {default}.")
    return value


def _secret(env: Mapping[str, str], name: str, default: str) -> str:
    value = env.get(name, default)
    # It is sent in an HTTP header. The message must not reveal it.
    if not re.fullmatch(r"[!-~]+", value):
        raise SettingsError(
            f"{name} must be one or more printable ASCII characters without spaces."
        )
    return value


def _cards(env: Mapping[str, str]) -> frozenset[str]:
    given = env.get("GATEWAY_CARDS", "")
    cards = frozenset(card.strip() for card in given.split(",") if card.strip())
    if not all(re.fullmatch(r"(?!tok_)[A-Za-z0-9_-]{8,64}", card) for card in cards):
        raise SettingsError(
            "GATEWAY_CARDS must be card tokens, separated by commas: 8 to 64 characters of A-Z, "
            "a-z, 0-9, _ and -, not beginning with tok_."
        )
    return cards


def _port(env: Mapping[str, str]) -> int:
    text = _text(env, "GATEWAY_PORT", "8001")
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > _HIGHEST_PORT:
        raise SettingsError(
            f"GATEWAY_PORT={text!r} must be a whole number from 0 (any free port) to 65535."
        )
    return int(text)


def _amount(env: Mapping[str, str], name: str, default: str) -> Decimal:
    text = _text(env, name, default)
    if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,2})?", text) or not Decimal(text):
        raise SettingsError(f"{name}={text!r} must be an amount from 0.01 to 9999999999.99.")
    return Decimal(text)


def _level(env: Mapping[str, str], name: str, default: str) -> str:
    level = _text(env, name, default).upper()
    if level not in LEVELS:
        raise SettingsError(f"{name}={level!r} must be one of: {', '.join(LEVELS)}.")
    return level


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

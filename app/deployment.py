"""What an installation is for, and the values that only a development installation may use.

The shop's settings, the gateway simulator, the monitoring's `config` service and the synthetic
shoppers read it, so that all refuse the same. It uses nothing but the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LEAST_DIFFERENT = 5  # characters of a secret, as in Django's check of SECRET_KEY
TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}


@dataclass(frozen=True)
class Development:
    """The values of a variable that are good enough for development only."""

    default: str
    public: tuple[str, ...] = ()  # others that are printed in examples
    least: int = 0  # characters of a secret of its own
    readers: tuple[str, ...] = ("shop",)
    in_demo: bool = False  # whether a demo may use them too
    part: str = ""  # what of the variable they are, before its name

    @property
    def values(self) -> tuple[str, ...]:
        """Return all of them."""
        return (self.default, *self.public)


# The one list. Each value is tried by tests/config/test_deployment.py.
DEVELOPMENT = {
    "SECRET_KEY": Development(
        "development-only-secret-key-never-use-it-with-debug-off",
        ("your-secret-key-here",),
        least=50,
    ),
    "METRICS_TOKEN": Development("", least=16, readers=("shop", "config")),
    "ALERTS_TOKEN": Development("", least=16, readers=("shop", "config")),
    "GATEWAY_API_KEY": Development(
        "dev-gateway-key", least=16, readers=("shop", "gateway"), in_demo=True
    ),
    "GATEWAY_FAULTS_TOKEN": Development(
        "dev-faults-token", least=16, readers=("gateway",), in_demo=True
    ),
    "DATABASE_URL": Development("retail_password", least=12, part="the password in "),
    "ALLOWED_HOSTS": Development("", ("*",)),
    "EMAIL_HOST": Development(""),
    "SHOP_URL": Development(
        "http://localhost:8000", ("http://127.0.0.1:8000",), readers=("config",)
    ),
    "GRAFANA_URL": Development(
        "http://localhost:3000", ("http://127.0.0.1:3000",), readers=("config",)
    ),
    "GRAFANA_PASSWORD": Development("admin", least=12, readers=("config",)),
    "POSTGRES_PASSWORD": Development("retail_password", least=12, readers=("config",)),
    "POSTGRES_EXPORTER_PASSWORD": Development("exporter_password", least=12, readers=("config",)),
}


class Mode(NamedTuple):
    """What an installation is for: development, a demo, or production with neither."""

    debug: bool
    demo: bool

    @property
    def stand_ins(self) -> bool:
        """Whether test cards, the gateway simulator and synthetic shoppers are allowed."""
        return self.debug or self.demo


def boolean(name: str, value: str, *, default: bool) -> bool:
    """Return a variable's value as a boolean; `default` if empty. Raises ValueError."""
    word = value.strip().lower()
    if word not in {"", *TRUE, *FALSE}:
        raise ValueError(f"{name}={value.strip()!r} is not a boolean: use True or False.")
    return word in TRUE if word else default


def mode_of(environ: Mapping[str, str]) -> Mode:
    """Return what the installation is for. Raises ValueError."""
    return Mode(
        debug=boolean("DEBUG", environ.get("DEBUG", ""), default=False),
        demo=boolean("DEMO", environ.get("DEMO", ""), default=False),
    )


def defaults(reader: str) -> dict[str, str]:
    """Return the development values of the variables that `reader` reads."""
    return {name: known.default for name, known in DEVELOPMENT.items() if reader in known.readers}


def problems(values: Mapping[str, str], mode: Mode) -> Iterator[str]:
    """Yield a line about each problem of these values, without showing them."""
    judged = {
        name: (value, DEVELOPMENT[name])
        for name, value in values.items()
        if not (mode.debug or (mode.demo and DEVELOPMENT[name].in_demo))
    }
    missing = sorted(
        name for name, (value, known) in judged.items() if value.rstrip("/") in known.values
    )
    if missing:
        names = ", ".join(DEVELOPMENT[name].part + name for name in missing)
        yield (
            f"With DEBUG off, set {names} in the environment "
            "(see .env.example), or set DEBUG=True for development."
        )
    for name, (value, known) in judged.items():
        if name not in missing and _is_weak(value, known.least):
            yield (
                f"With DEBUG off, {known.part}{name} must have at least {known.least} characters, "
                f"{LEAST_DIFFERENT} of them different."
            )


def _is_weak(value: str, least: int) -> bool:
    return len(value) < least or (bool(least) and len(set(value)) < LEAST_DIFFERENT)

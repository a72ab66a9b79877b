"""Each value of the list of development values: refused by all who read it, with DEBUG off."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings

from deployment import DEVELOPMENT, Mode, boolean, mode_of, problems

if TYPE_CHECKING:
    from pathlib import Path

# What each program does at its start, until it is satisfied with its settings.
PROGRAMS = {
    "shop": ["-c", "import config.settings"],
    "config": ["../alerts/render.py"],
    "gateway": [
        "-c",
        "import os; from gateway_simulator import settings; settings.read(os.environ)",
    ],
}
OWN = {
    **{name: secrets.token_urlsafe(60) for name in DEVELOPMENT},
    "ALLOWED_HOSTS": "shop.example.com",
    "DATABASE_URL": "postgresql://shop:a-long-password@127.0.0.1:1/shop",
    "SHOP_URL": "https://shop.example.com",
    "GRAFANA_URL": "https://grafana.example.com",
}
CASES = [
    pytest.param(reader, name, value, id=f"{reader}-{name}-{value or 'empty'}")
    for name, known in DEVELOPMENT.items()
    for value in known.values
    for reader in known.readers
]
WITH_SECRETS = sorted(name for name, known in DEVELOPMENT.items() if known.least)


def given(name: str, value: str) -> dict[str, Any]:
    """Return the variable with this value, which is only a part of some."""
    if name == "DATABASE_URL":
        return {name: f"postgresql://retail_user:{value}@127.0.0.1:1/retail_db"}
    return {name: value}


def start(
    program: str, folder: Path, *, only_given: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Start a program in an environment that suits production but for what is given."""
    arguments = [*PROGRAMS[program], *([str(folder / "out")] if program == "config" else [])]
    folders = {"VAR_DIR": str(folder / "var"), "LOG_DIR": str(folder / "logs")}
    own = {} if only_given else {"DEBUG": "False", **OWN}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], **own, **folders, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_values_of_its_own_are_accepted(program: str, tmp_path: Path) -> None:
    done = start(program, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("program", "name", "value"), CASES)
def test_a_development_value_is_refused_by_who_reads_it(
    program: str, name: str, value: str, tmp_path: Path
) -> None:
    done = start(program, tmp_path, **given(name, value))
    assert done.returncode != 0
    assert name in done.stderr
    assert done.stderr.splitlines()[-1].endswith(
        f"With DEBUG off, set {DEVELOPMENT[name].part}{name} in the environment "
        "(see .env.example), or set DEBUG=True for development."
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_development_needs_none_of_them(program: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {}
    for name, known in DEVELOPMENT.items():
        values |= given(name, known.default)
    assert start(program, tmp_path, DEBUG="True", **values).returncode == 0


@pytest.mark.parametrize("name", DEVELOPMENT)
def test_a_demo_may_use_the_gateways_and_no_other(name: str) -> None:
    default = {name: DEVELOPMENT[name].default}
    refused = list(problems(default, Mode(debug=False, demo=True)))
    assert bool(refused) == (name not in {"GATEWAY_API_KEY", "GATEWAY_FAULTS_TOKEN"})
    assert list(problems(default, Mode(debug=True, demo=True))) == []


@pytest.mark.parametrize("name", WITH_SECRETS)
@pytest.mark.parametrize("weak", ["x", "short-1", "abcdabcd" * 10, "{short}"])
def test_a_weak_secret_is_refused_without_showing_it(name: str, weak: str) -> None:
    least = DEVELOPMENT[name].least
    value = weak.format(short="abcdefghijklmnopqrstuvwxyz"[:12].ljust(least, "1")[: least - 1])
    [problem] = problems({name: value}, Mode(debug=False, demo=False))
    assert problem == (
        f"With DEBUG off, {DEVELOPMENT[name].part}{name} must have at least {least} characters, "
        "5 of them different."
    )


def test_every_secret_has_a_least_length() -> None:
    words = ("KEY", "TOKEN", "PASSWORD", "DATABASE_URL")
    assert [name for name in DEVELOPMENT if name.endswith(words)] == [
        name for name, known in DEVELOPMENT.items() if known.least
    ]


def test_a_mode_is_read_from_the_environment() -> None:
    assert mode_of({"DEBUG": "no"}) == (False, False)
    assert mode_of({"DEBUG": "False", "DEMO": "on"}) == (False, True)
    modes = [Mode(debug, demo) for debug in (True, False) for demo in (True, False)]
    assert [mode.stand_ins for mode in modes] == [True, True, True, False]
    with pytest.raises(ValueError, match=r"^DEMO='perhaps' is not a boolean: use True or False\.$"):
        mode_of({"DEMO": "perhaps"})
    assert boolean("X", " ", default=True)

"""`.env.example` lists exactly the variables that are read."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from django.conf import settings

from gateway_simulator import settings as gateway
from tools import run

EXAMPLE = Path(settings.BASE_DIR).parent / ".env.example"
COMPOSE = EXAMPLE.with_name("docker-compose.yml")

# Reads all variables of the web role: settings, and gunicorn's for several processes.
WEB = """
import runpy
runpy.run_path("config/gunicorn.conf.py")
from config import env
print(*sorted(env.names_read))
"""


class Recording(Mapping[str, str]):
    """An empty environment that records the names that are read."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names of all variables read by the programs."""
    folder = tmp_path_factory.mktemp("web")
    folders = {name: str(folder / name) for name in ("VAR_DIR", "LOG_DIR", "METRIC_FILES_DIR")}
    web = subprocess.run(
        [sys.executable, "-c", WEB],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], "DEBUG": "True", "WEB_CONCURRENCY": "2", **folders},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    recording = Recording()
    with suppress(gateway.SettingsError):  # it refuses, without DEBUG, once it has read all
        gateway.read(recording)
    run.environment(recording, run.read_plan(recording))
    compose = re.findall(r"\$\{([A-Z][A-Z0-9_]+)", COMPOSE.read_text(encoding="utf-8"))
    return {*web.stdout.split(), *recording.names, *compose}


def test_variables_of_all_programs_were_recorded(read: set[str]) -> None:
    web = {"SECRET_KEY", "DATABASE_URL", "WEB_THREADS", "METRIC_FILES_DIR"}
    assert web | {"GATEWAY_FAULTS_TOKEN", "GATEWAY_LEDGER", "SHOPPERS", "PORT"} <= read


def test_the_example_lists_exactly_the_variables_that_are_read(read: set[str]) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    named = re.findall(r"^(?:# ?)?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE)
    assert sorted(named) == sorted(read)

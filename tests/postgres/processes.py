"""Run load programs as processes of their own, which all start at the same moment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from django.db import connection

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]


def environment(folder: Path, settings: str) -> dict[str, str]:
    parameters = connection.get_connection_params()
    return {
        "DJANGO_SETTINGS_MODULE": settings,
        "DEBUG": "True",
        "DATABASE_URL": (
            f"postgresql://{quote(parameters['user'])}:{quote(parameters['password'])}"
            f"@{parameters['host']}:{parameters['port']}/{quote(parameters['dbname'])}"
        ),
        "PYTHONPATH": f"{ROOT / 'app'}:{ROOT}",
        "VAR_DIR": str(folder),
        "LOG_DIR": str(folder),
        "THROTTLE_CHECKOUT_LIMIT": "100000",
    }


def run_together(
    folder: Path, commands: Sequence[Sequence[str]], settings: str = "config.settings"
) -> Counter[str]:
    """Run modules with their arguments; return the sum of the counts that they print.

    Each prints "ready", and starts when it reads a line.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment(folder, settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        lines = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return sum((Counter(json.loads(line)) for line in lines), Counter[str]())

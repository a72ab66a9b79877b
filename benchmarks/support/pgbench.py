"""PostgreSQL's own load generator on the shop's tables: no Python, no HTTP."""

from __future__ import annotations

import os
import re
import tempfile
from typing import TYPE_CHECKING

from benchmarks.support.server import ROOT, ServerError, call

if TYPE_CHECKING:
    from pathlib import Path

_DONE = re.compile(r"number of transactions actually processed: (\d+)")
_RATE = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)


def run(
    programs: Path,
    database_url: str,
    script: str,
    *,
    clients: int,
    transactions: int,
    **values: int,
) -> tuple[int, float]:
    """Run the script in a closed loop; return how often it ran, and how often a second.

    `transactions` are of each client, `values` are the script's variables. Raises ServerError if a
    statement fails.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        variables = [f"--define={name}={value}" for name, value in values.items()]
        load = [f"--client={clients}", "--jobs=1", f"--transactions={transactions}"]
        said = call(
            [
                *(str(programs / "pgbench"), "--no-vacuum", f"--file={file.name}"),
                *(*variables, *load, database_url),
            ],
            {"PATH": os.defpath, "LC_ALL": "C"},
            ROOT,
        )
    done, rate = _DONE.search(said), _RATE.search(said)
    if not done or not rate:
        raise ServerError(f"pgbench said: {said[-1000:]}")
    return int(done[1]), float(rate[1])

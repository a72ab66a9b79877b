"""Runs pg_dump and pg_restore on the shop's database."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from typing import Any

from django.db import connection

from retail.backup.archive import BackupError

# libpq's variables, and the names of the same in Django's settings.
_LOGIN = (
    *(("PGHOST", "HOST"), ("PGPORT", "PORT"), ("PGUSER", "USER"), ("PGPASSWORD", "PASSWORD")),
    ("PGDATABASE", "NAME"),
)
_OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout")
LOCK_WAIT = "10s"  # for a migration that is running, or for somebody who uses the database


class Client:
    """A running program of PostgreSQL. It never asks for a password."""

    def __init__(self, program: str, *arguments: str, **pipes: Any) -> None:
        self.program = program
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        try:
            self.process = subprocess.Popen(  # noqa: S603 - a program of PostgreSQL
                [shutil.which(program) or program, "--no-password", *arguments],
                env=_environment(),
                stderr=self.errors,
                **pipes,
            )
        except OSError as error:
            self.errors.close()
            raise BackupError(
                f"{program} cannot be run ({error.strerror}). Install the server's version or a "
                "later one; with containers, use `make backup` and `make restore`."
            ) from error

    def end(self) -> None:
        """Wait for the program, which has nothing more to read. Raises BackupError."""
        if self.process.wait():
            self.errors.seek(0)
            lines = self.errors.read().decode(errors="replace").strip().splitlines()
            reason = next((line for line in lines if "error:" in line), "".join(lines[-1:]))
            raise BackupError(f"{self.program} has failed: {reason}")

    def close(self) -> None:
        """Kill the program, if it still runs: its transaction is rolled back."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # what was not flushed is for nobody
                if pipe:
                    pipe.close()
        self.process.wait()
        self.errors.close()


def _environment() -> dict[str, str]:
    database: dict[str, Any] = connection.settings_dict
    options = database.get("OPTIONS", {})
    given = {ours: str(database[name]) for ours, name in _LOGIN if database.get(name)}
    given |= {f"PG{name.upper()}": str(options[name]) for name in _OPTIONS if name in options}
    given |= {"LC_ALL": "C", "PGOPTIONS": f"-c lock_timeout={LOCK_WAIT}"}
    return {"PATH": os.defpath} | given  # without the user's PG… variables

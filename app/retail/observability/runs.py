"""Detects runs of jobs that end without a trace: killed, or out of memory.

While a job runs, its process holds a lock on a file that names the job. The lock ends with the
process, however it ends, so a file without a lock is a run that was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, NamedTuple

from retail.observability.context import current_request_id
from retail.observability.prometheus import catalogue, slots

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Run(NamedTuple):
    """A run of a job."""

    task: str
    request_id: str
    started: float  # seconds since 1970


@contextmanager
def noted(task: str) -> Iterator[None]:
    """Note that this process runs a job, until the end of the `with` block.

    Only in roles of several processes: nobody else could notice the end of a single one.
    """
    folder = slots.folder()
    path = folder / f"{os.getpid()}.job" if folder is not None else None
    file = path and _note(path, Run(task, current_request_id(), time.time()))
    try:
        yield
    finally:
        if path and file:
            path.unlink(missing_ok=True)  # before the lock ends
            file.close()


def _note(path: Path, run: Run) -> IO[str] | None:
    """Write the note and return its locked file, or None if that failed: the job runs anyway."""
    new = path.with_suffix(".new")
    try:
        file = new.open("w", encoding="utf-8")
        fcntl.lockf(file, fcntl.LOCK_EX)
        json.dump(run, file)
        file.flush()
        new.replace(path)  # now it is locked
    except OSError:
        catalogue.TELEMETRY_ERRORS.inc(sink="metrics")
        return None
    return file


def take_killed() -> list[Run]:
    """Return the noted runs whose process has ended, each only once."""
    folder = slots.folder()
    killed = []
    for path in sorted(folder.glob("*.job")) if folder is not None else ():
        with suppress(OSError), path.open("r+", encoding="utf-8") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A run that ended just now has removed its note, and may have left another.
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                killed.append(_read(path, file))
                path.unlink()
    return killed


def _read(path: Path, file: IO[str]) -> Run:
    """Read a note. One that was not written completely names no task."""
    try:
        task, request_id, started = json.load(file)
        if isinstance(task, str) and isinstance(request_id, str):
            return Run(task, request_id, float(started))
    except (TypeError, ValueError):
        pass
    return Run("", "", path.stat().st_mtime)

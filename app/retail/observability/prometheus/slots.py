"""Numbered places for the metric files of roles that run as several processes.

prometheus_client names a process's files after its pid, so that files pile up as workers come and
go. Here a process takes the lowest free slot instead, goes on with the totals the slot's last
holder left behind, and frees it by ending, however it ends.
"""

import fcntl
import itertools
import os
import threading
from pathlib import Path
from typing import IO

from prometheus_client import values

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_taking = threading.Lock()
_held: tuple[str, IO[str]] | None = None  # the slot and its locked file


def folder() -> Path | None:
    """Return the folder of metric files, or None where one process keeps all in memory."""
    path = os.environ.get(FOLDER_VARIABLE)
    return Path(path) if path else None


def _forget_gauges(path: Path, slot: str) -> None:
    """Remove what a dead holder last said of the moment; its counters stay, they are totals."""
    for file in path.glob(f"gauge_live*_{slot}.db"):
        file.unlink(missing_ok=True)


def _locked(path: Path, slot: str) -> IO[str] | None:
    """Return the slot's file, locked by this process, or None if another process holds it.

    The lock is a POSIX record lock: forked children don't inherit it; it goes with its process.
    """
    file = (path / f"{slot}.lock").open("a", encoding="utf-8")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def own_slot() -> str:
    """Return this process's slot, taking the lowest free one at the first call in the process.

    Asked each time that anything is counted.
    """
    return _held[0] if _held is not None else _take()


def _take() -> str:
    global _held  # noqa: PLW0603 - one slot a process is the point
    path = folder()
    if path is None:
        return str(os.getpid())
    with _taking:
        if _held is not None:
            return _held[0]
        for number in itertools.count():
            slot = f"slot{number}"
            file = _locked(path, slot)
            if file is not None:
                _forget_gauges(path, slot)
                _held = (slot, file)
                break
    return slot


def _after_fork() -> None:
    """Hold nothing in a child: the slot is the parent's."""
    global _held, _taking
    _held, _taking = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def forget_dead_gauges() -> None:
    """Drop the momentary gauges of slots that nobody holds any more."""
    path = folder()
    if path is None:
        return
    own = own_slot()
    with _taking:  # the lock is the process's: a second thread would get it too, and give it up
        for lock in path.glob("slot*.lock"):
            # Never try one's own lock: closing any handle of the file would give it up.
            if lock.stem != own and (file := _locked(path, lock.stem)) is not None:
                _forget_gauges(path, lock.stem)
                file.close()


if folder() is not None:
    # Before the first metric is made: prometheus_client takes the storage of each metric from here.
    values.ValueClass = values.MultiProcessValue(process_identifier=own_slot)  # type: ignore[no-untyped-call]

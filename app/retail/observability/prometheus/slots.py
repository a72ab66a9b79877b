"""Numbered slots for the metric files of roles that run as several processes.

prometheus_client names a process's files after its pid, so files accumulate as workers come and go.
Here, a process takes the lowest free slot instead and continues with the totals in its files. The
slot becomes free when the process ends, however it ends.
"""

import fcntl
import itertools
import json
import os
import struct
import threading
from pathlib import Path
from typing import IO

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_HEADER = struct.Struct("i")
_FIRST_ENTRY, _VALUE_BYTES = 8, 16  # of the library's format
BROKEN = ".broken"  # appended to the name of a file that was set aside

_taking = threading.Lock()
_held: tuple[str, IO[str]] | None = None  # the slot and its locked file


def folder() -> Path | None:
    """Return the folder of metric files, or None if the role is a single process."""
    path = os.environ.get(FOLDER_VARIABLE)
    return Path(path) if path else None


def _forget_gauges(path: Path, slot: str) -> None:
    """Delete the gauges of a slot whose process has ended. Its counters are totals and stay."""
    for file in path.glob(f"gauge_live*_{slot}.db"):
        file.unlink(missing_ok=True)


def files() -> list[str]:
    """Return the metric files in which something has been written."""
    path = folder()
    return [str(file) for file in path.glob("*.db") if used(file) != 0] if path else []


def used(file: Path) -> int:
    """Return the number with which a file begins: how many of its bytes are used."""
    try:
        with file.open("rb") as opened:
            start = opened.read(_HEADER.size)
    except FileNotFoundError:  # a gauge of a process that has just ended
        return 0
    return _HEADER.unpack(start.ljust(_HEADER.size, b"\0"))[0]  # type: ignore[no-any-return]


def is_whole(file: str) -> bool:
    """Return whether a metric file can be read to its end, and continued there.

    It cannot if its process or the machine died while it was written.
    """
    end, path = _FIRST_ENTRY, Path(file)
    try:
        for key, *_, value_at in MmapedDict.read_all_values_from_file(file):  # type: ignore[no-untyped-call]
            metric, name, labels, text = json.loads(key)
            if not all(isinstance(it, str) for it in (metric, name, text, *labels.values())):
                return False
            end = value_at + _VALUE_BYTES
        return used(path) in {0, end} and end <= max(path.stat().st_size, _FIRST_ENTRY)
    except FileNotFoundError:
        return True
    except (AttributeError, RuntimeError, TypeError, ValueError, struct.error):
        return False


def _set_aside_broken(path: Path, slot: str) -> None:
    """Rename the files of a free slot that its new process could not read.

    Nothing is reported here, because a metric may be locked: a scrape does it (`take_broken`).
    """
    for file in path.glob(f"*_{slot}.db"):
        if not is_whole(str(file)):
            file.replace(f"{file}{BROKEN}")


def take_broken() -> list[str]:
    """Delete the files that were set aside; return their names, each only once."""
    path, taken = folder(), []
    for file in path.glob(f"*{BROKEN}") if path else ():
        try:
            file.unlink()
        except FileNotFoundError:  # another process has reported it
            continue
        taken.append(file.name.removesuffix(BROKEN))
    return taken


def _locked(path: Path, slot: str) -> IO[str] | None:
    """Lock the slot's file and return it, or return None if another process holds the lock.

    A POSIX record lock is not inherited by forked children and ends with its process.
    """
    file = (path / f"{slot}.lock").open("a", encoding="utf-8")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def own_slot() -> str:
    """Return this process's slot; the first call takes the lowest free one.

    Called for every update of a metric.
    """
    return _held[0] if _held is not None else _take()


def _take() -> str:
    global _held  # noqa: PLW0603 - one slot per process
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
                _set_aside_broken(path, slot)
                _held = (slot, file)
                break
    return slot


def _after_fork() -> None:
    """Give a forked child no slot: it is the parent's."""
    global _held, _taking
    _held, _taking = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def forget_dead_gauges() -> None:
    """Delete the gauges of slots whose process has ended."""
    path = folder()
    if path is None:
        return
    own = own_slot()
    with _taking:  # a second thread would also get the process's lock, and release it
        for lock in path.glob("slot*.lock"):
            # Skip the own lock: closing any handle of its file would release it.
            if lock.stem != own and (file := _locked(path, lock.stem)) is not None:
                _forget_gauges(path, lock.stem)
                file.close()


if folder() is not None:
    # Must be set before the first metric is created.
    values.ValueClass = values.MultiProcessValue(process_identifier=own_slot)  # type: ignore[no-untyped-call]

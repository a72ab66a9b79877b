"""Log outputs: standard output, and a file shared with other processes."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from pathlib import Path
from select import PIPE_BUF
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITING_SECONDS = 0.05  # in which another process surely finishes a line


class Sink:
    """A place to write lines to. `written` counts the whole lines that it has accepted."""

    written = 0
    inherited = 0  # torn lines that a killed process has left
    _torn = False  # the last write ended within a line

    def put(self, file: int, text: bytes) -> None:
        """Write everything; the kernel may accept only part of it at a time."""
        if self._torn:
            os.write(file, b"\n")  # or the first line would continue the torn one
            self._torn = False
        while text:
            size = os.write(file, text)
            self.written += text.count(b"\n", 0, size)
            self._torn = not text.endswith(b"\n", 0, size)
            text = text[size:]


class Console(Sink):
    """Standard output, without the buffering of Python's stream.

    It may be a pipe shared by several processes. A write of more than PIPE_BUF bytes could be
    interleaved with others, so each write has only as many lines as fit.
    """

    def __init__(self, stream: TextIO, level: int) -> None:
        self.stream = stream
        self.level = level

    def write(self, lines: list[bytes]) -> None:
        """Write whole lines."""
        for piece in _pieces(lines):
            self.put(self.stream.fileno(), piece)

    def close(self) -> None:
        """Do nothing: standard output stays open for others."""


def _pieces(lines: list[bytes]) -> Iterator[bytes]:
    """Yield `lines` in pieces of at most PIPE_BUF bytes; a longer line is a piece of its own."""
    first, size = 0, 0
    for number, line in enumerate(lines):
        if size and size + len(line) > PIPE_BUF:
            yield b"".join(lines[first:number])
            first, size = number, 0
        size += len(line)
    yield b"".join(lines[first:])


def ends_torn(path: Path) -> bool:
    """Return whether a file ends within a line and does not grow: nobody is writing the rest."""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # just rotated
        return False
    with file:
        first = _end(file)
        if first.endswith_newline:
            return False
        time.sleep(WRITING_SECONDS)
        return _end(file) == first


class _End(NamedTuple):
    size: int
    endswith_newline: bool


def _end(file: BinaryIO) -> _End:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 1, 0))
    return _End(size, size == 0 or file.read(1) == b"\n")


class SharedFile(Sink):
    """A file that several processes append to, rotated by renaming.

    At `max_bytes` it becomes `<name>.1`, which becomes `<name>.2`, and so on up to `backups`. Other
    processes notice at their next write. No line is lost or split, and a log shipper that follows
    the file by inode misses none.
    """

    level = logging.NOTSET

    def __init__(self, path: Path, max_bytes: int, backups: int) -> None:
        self.path = path.absolute()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.max_bytes = max_bytes
        self.backups = backups
        self._file: int | None = None
        self._known = False  # how the file ended that was there at the start

    def write(self, lines: list[bytes]) -> None:
        """Write whole lines in one piece, then rotate the file if it is full."""
        file = self._opened()
        self.put(file, b"".join(lines))
        if os.lseek(file, 0, os.SEEK_CUR) >= self.max_bytes:
            self._rotate()

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        # Forget it before closing: a child forked in between must not use the descriptor.
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _opened(self) -> int:
        """Return the file that has the path now; another process may have rotated it."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                if os.path.samestat(self.path.stat(), os.fstat(self._file)):
                    return self._file
            with contextlib.suppress(OSError):
                self.close()
        # With O_APPEND, the kernel writes at the end even if other processes write too.
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        if not self._known:
            self._known = True
            self._torn = ends_torn(self.path)
            self.inherited += self._torn
        return self._file

    def _rotate(self) -> None:
        path = self.path
        with Path(f"{path}.lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Another process may have rotated it first: the path then has a new, shorter file.
            if path.exists() and path.stat().st_size >= self.max_bytes:
                for number in range(self.backups - 1, 0, -1):
                    older = Path(f"{path}.{number}")
                    if older.exists():
                        older.replace(f"{path}.{number + 1}")
                path.replace(f"{path}.1")

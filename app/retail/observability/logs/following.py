"""Follow a file to which another program appends lines, such as the proxy's log."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PIECE = 256 * 1024  # bytes read at once. A longer line comes in pieces


@dataclass
class _File:
    opened: int  # its file descriptor
    at: int = 0  # where the next line begins

    def __del__(self) -> None:
        os.close(self.opened)

    def status(self) -> os.stat_result:
        return os.fstat(self.opened)

    def skip_lines(self) -> None:
        """Go to the end, or to the last line if it is not whole yet."""
        start = max(self.status().st_size - PIECE, 0)
        self.at = start + os.pread(self.opened, PIECE, start).rfind(b"\n") + 1

    def lines(self) -> tuple[list[bytes], bool]:
        """Return the next whole lines, and whether there may be more to read at once."""
        if self.status().st_size < self.at:  # emptied
            self.at = 0
        piece = os.pread(self.opened, PIECE, self.at)
        full = len(piece) == PIECE
        end = piece.rfind(b"\n") + 1 or (PIECE if full else 0)  # the rest is not written yet
        self.at += end
        return piece[:end].splitlines(), full


class Follower:
    """Returns each line once that was written after the first read.

    The file may appear later, be emptied, or be rotated by renaming: lines written to the old file
    after the new one exists are not lost.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: list[_File] = []  # before the last rotation, and now
        self._started = False

    def read(self) -> tuple[list[bytes], bool]:
        """Return new lines, and whether there may be more to read at once. Raises OSError."""
        if file := self._new_file():
            self._files = [*self._files[-1:], file]
            if not self._started:
                file.skip_lines()
        self._started = True
        lines, more = [], False
        for file in self._files:
            whole, full = file.lines()
            lines += whole
            more |= full
        return lines, more

    def _new_file(self) -> _File | None:
        """Return the file, opened, if it exists and is not the one that is read."""
        try:
            found = self.path.stat()
            if self._files and os.path.samestat(found, self._files[-1].status()):
                return None
            return _File(os.open(self.path, os.O_RDONLY))
        except FileNotFoundError:
            return None

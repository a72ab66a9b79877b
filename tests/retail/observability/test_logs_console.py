"""Lines on standard output, which may be a pipe that several processes share."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from select import PIPE_BUF
from typing import TYPE_CHECKING

import pytest

from retail.observability.logs.sinks import Console
from tests.retail.observability.log_writing import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

__all__ = ["pieces"]

PROCESSES = 3
LINES = 3_000
PATIENCE = 300  # seconds; no speed is asserted


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with (tmp_path / "console").open("w", encoding="utf-8") as stream:
        yield Console(stream, logging.NOTSET)


def test_lines_are_written_in_pieces_that_a_pipe_takes_whole(
    console: Console, pieces: list[bytes], tmp_path: Path
) -> None:
    lines = [b"%03d" % number + b"x" * 1_020 + b"\n" for number in range(10)]  # 4 are PIPE_BUF
    console.write(lines)
    assert pieces == [b"".join(lines[:4]), b"".join(lines[4:8]), b"".join(lines[8:])]
    assert len(pieces[0]) == PIPE_BUF
    assert (tmp_path / "console").read_bytes() == b"".join(lines)


def test_a_longer_line_is_a_piece_of_its_own(console: Console, pieces: list[bytes]) -> None:
    long = b"x" * 10_000 + b"\n"
    console.write([b"1\n", b"2\n", long, b"3\n"])
    console.write([long])
    assert pieces == [b"1\n2\n", long, b"3\n", long]


def test_standard_output_stays_open(console: Console) -> None:
    console.close()
    assert not console.stream.closed


def write_many(together: Barrier, pipe: Connection, process: int) -> None:
    """Run in a separate process."""
    with os.fdopen(pipe.fileno(), "w", closefd=False) as stream:
        console = Console(stream, logging.NOTSET)
        together.wait(timeout=PATIENCE)
        for first in range(0, LINES, 1000):
            numbers = range(first, first + 1000)
            rows = [{"of": process, "number": number, "pad": "x" * 200} for number in numbers]
            console.write([json.dumps(row).encode() + b"\n" for row in rows])


def test_the_lines_of_processes_that_share_a_pipe_stay_whole() -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(PROCESSES)
    there, here = context.Pipe(duplex=False)
    writers = [
        context.Process(target=write_many, args=(together, here, process))
        for process in range(PROCESSES)
    ]
    for writer in writers:
        writer.start()
    here.close()
    text = bytearray()
    while more := os.read(there.fileno(), 1_000):  # slowly: the pipe is full most of the time
        text += more
    there.close()
    for writer in writers:
        writer.join(timeout=PATIENCE)
        assert writer.exitcode == 0
    lines = [(row["of"], row["number"]) for row in map(json.loads, text.splitlines())]
    for process in range(PROCESSES):
        assert [number for of, number in lines if of == process] == list(range(LINES))
    assert len(lines) == PROCESSES * LINES

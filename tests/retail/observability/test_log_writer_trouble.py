"""Slow or full disks and closed consoles: logging continues, and no other line is lost."""

from __future__ import annotations

import errno
import logging
import os
import threading
from typing import TYPE_CHECKING

import pytest

from retail.observability.logs.sinks import SharedFile
from retail.observability.logs.writer import LIMIT
from tests.retail.observability.log_writing import (
    PATIENCE,
    logger,
    numbers,
    open_writer,
    say,
    wait_until,
    written,
)

if TYPE_CHECKING:
    from tests.retail.observability.log_writing import Open, Written

__all__ = ["open_writer", "written"]


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_logging_does_not_wait_for_writing(open_writer: Open, written: Written, level: int) -> None:
    """Neither for the thread nor for another thread's warning."""
    writer = open_writer(flush_seconds=0.001)
    writing, go_on = threading.Event(), threading.Event()
    write = writer.sinks[0].write

    def slow(lines: list[bytes]) -> None:
        writing.set()
        assert go_on.wait(PATIENCE)
        write(lines)

    writer.sinks[0].write = slow  # type: ignore[method-assign]
    other = threading.Thread(target=say, args=(0, level))
    other.start()
    assert writing.wait(PATIENCE)
    for number in range(1, LIMIT):
        say(number)
    assert written("file") == []
    go_on.set()
    other.join()
    say(LIMIT, logging.WARNING)
    assert numbers(written("file")) == numbers(written("console")) == list(range(LIMIT + 1))


def test_logging_during_a_write_does_not_block(open_writer: Open, written: Written) -> None:
    """As a signal handler may, in the writing thread."""
    writer = open_writer()
    write = writer.sinks[0].write

    def interrupted(lines: list[bytes]) -> None:
        writer.sinks[0].write = write  # type: ignore[method-assign]
        say(3, logging.WARNING)
        write(lines)

    writer.sinks[0].write = interrupted  # type: ignore[method-assign]
    say(1)
    say(2, logging.WARNING)
    assert sorted(numbers(written("file"))) == sorted(numbers(written("console"))) == [1, 2, 3]


def _no_room(file: int, text: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_affects_neither_the_console_nor_the_thread(
    open_writer: Open, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    writer = open_writer(flush_seconds=0.001)
    file = writer.sinks[0]
    assert isinstance(file, SharedFile)
    write, tried = file.write, threading.Event()

    def fail(lines: list[bytes]) -> None:
        tried.set()
        _no_room(0, b"")

    file.write = fail  # type: ignore[method-assign]
    say(1)
    assert tried.wait(PATIENCE)
    wait_until(lambda: numbers(written("console")) == [1])
    file.write = write  # type: ignore[method-assign]
    say(2)
    wait_until(lambda: numbers(written("console")) == [1, 2])
    assert numbers(written("file")) == [2]


def test_a_closed_console_does_not_affect_the_file(
    open_writer: Open,
    written: Written,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    writer = open_writer()
    writer.sinks[1].stream.close()  # type: ignore[union-attr]
    writer.sinks.reverse()  # it comes first
    say(1)
    say(2, logging.WARNING)
    assert numbers(written("file")) == [1, 2]
    assert written("console") == []
    assert "ValueError: I/O operation on closed file" in capsys.readouterr().err  # as in logging


def test_an_unformattable_record_affects_no_other(
    open_writer: Open, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_writer()
    monkeypatch.setattr(logging, "raiseExceptions", False)
    say(1)
    logger.info("%d %d", 1)  # one is missing
    logger.handle(logging.makeLogRecord({"msg": "event=test", "_fields": 7, "levelno": 20}))
    say(2)
    writer.flush()
    assert numbers(written("file")) == [1, 2]


def test_without_a_thread_lines_are_written_immediately(
    open_writer: Open, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    open_writer()
    monkeypatch.setattr(threading.Thread, "start", start)
    say(1)
    say(2)
    assert numbers(written("file")) == [1, 2]

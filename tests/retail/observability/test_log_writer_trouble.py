"""Slow or full disks and closed consoles: logging continues, and no other line is lost."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings

from retail.observability.logs.sinks import Console, SharedFile
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
from tests.support import moved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.retail.observability.log_writing import Open, Written

LOST = 'retail_telemetry_errors_total{sink="log"}'
FULL = Path("/dev/full")  # each write to it fails, as on a full disk

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


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    """Return a console on a full device."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with FULL.open("w", encoding="utf-8", errors="replace") as stream:
        yield Console(stream, logging.INFO)


@pytest.mark.django_db
def test_lines_lost_on_a_full_disk_are_counted(
    open_writer: Open, written: Written, full: Console
) -> None:
    writer = open_writer()
    writer.sinks[0] = SharedFile(FULL, 10_000, backups=1)
    with moved() as changes:
        for number in range(3):
            say(number)
        writer.flush()
        say(3, logging.WARNING)
    assert changes == {LOST: 4}
    assert numbers(written("console")) == [0, 1, 2, 3]


@pytest.mark.django_db
def test_lines_lost_on_a_full_console_are_counted(
    open_writer: Open, written: Written, full: Console
) -> None:
    writer = open_writer()
    writer.sinks[1] = full
    with moved() as changes:
        for number in range(3):
            say(number)
        writer.flush()
    assert changes == {LOST: 3}
    assert numbers(written("file")) == [0, 1, 2]


# A file that may not grow beyond 150 bytes, until the limit goes.
NO_MORE_ROOM = """
import resource, sys
from pathlib import Path
from retail.observability.logs.sinks import SharedFile

file = SharedFile(Path(sys.argv[1]), 10_000, backups=1)
lines = [b'{"number": %d, "pad": "%s"}\\n' % (number, b"x" * 30) for number in range(5)]
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (150, most))
for _ in range(2):
    try:
        file.write(lines)
    except OSError:
        print(file.written)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
file.write(lines[4:])
print(file.written)
"""


def test_a_line_cut_off_by_a_full_disk_costs_no_other_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    printed = subprocess.run(
        [sys.executable, "-c", NO_MORE_ROOM, str(path)],
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    assert printed.split() == ["2", "2", "3"]
    *whole, cut, last = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["number"] for line in (*whole, last)] == [0, 1, 4]
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(cut)


@pytest.mark.django_db
def test_a_file_that_cannot_be_rotated_is_counted_although_no_line_is_lost(
    open_writer: Open, written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    writer = open_writer()
    file = writer.sinks[0]
    assert isinstance(file, SharedFile)
    file.max_bytes = 1
    (tmp_path / "file.lock").mkdir()  # in the way of the lock's file
    with moved() as changes:
        say(1)
        say(2)
        writer.flush()
    assert changes == {LOST: 1}
    assert numbers(written("file")) == [1, 2]


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


@pytest.mark.django_db
def test_an_unformattable_record_is_counted_and_affects_no_other(
    open_writer: Open, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_writer()
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with moved() as changes:
        say(1)
        logger.info("%d %d", 1)  # one is missing
        logger.handle(logging.makeLogRecord({"msg": "event=test", "_fields": 7, "levelno": 20}))
        say(2)
        writer.flush()
    assert changes == {LOST: 2}
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

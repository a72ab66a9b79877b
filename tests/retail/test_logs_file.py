"""The log file that several processes share: nothing lost, nothing broken, room made in time."""

from __future__ import annotations

import json
import logging
import multiprocessing
from typing import TYPE_CHECKING

import pytest

from retail.observability.logs import JsonFormatter, SharedFileHandler, logging_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

PROCESSES = 4
LINES = 300
PAD = "x" * 20_000  # more than the buffer of a Python file


def handler_for(path: Path, max_bytes: int, backups: int) -> SharedFileHandler:
    handler = SharedFileHandler(str(path), max_bytes=max_bytes, backups=backups)
    handler.setFormatter(JsonFormatter())
    return handler


def write(handler: SharedFileHandler, **extra: object) -> None:
    handler.handle(logging.makeLogRecord({"msg": "event=test", "levelname": "INFO", **extra}))


def write_many(together: Barrier, path: Path, process: int, max_bytes: int) -> None:
    """Run in a process of its own."""
    handler = handler_for(path, max_bytes, backups=100)
    together.wait(timeout=50)
    for number in range(LINES):
        write(handler, process=process, line_of=process, number=number, pad=PAD)
    handler.close()


def written(folder: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each line of all the files with its file's name; fails on a broken one."""
    for file in sorted(folder.glob("application.log*")):
        if not file.name.endswith(".lock"):
            text = file.read_text(encoding="utf-8")
            assert text.endswith("\n")
            for line in text.splitlines():
                yield file.name, json.loads(line)["extra"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "application.log"


def test_processes_that_write_and_rotate_at_once_lose_and_break_no_line(path: Path) -> None:
    max_bytes = 500_000
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(PROCESSES)
    writers = [
        context.Process(target=write_many, args=(together, path, process, max_bytes))
        for process in range(PROCESSES)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=50)
        assert writer.exitcode == 0
    found = [(extra["line_of"], extra["number"]) for _, extra in written(path.parent)]
    assert sorted(found) == [(p, n) for p in range(PROCESSES) for n in range(LINES)]
    one_line = len(PAD) + 300
    backups = sorted(path.parent.glob("application.log.[0-9]*"))
    assert len(backups) >= PROCESSES * LINES * len(PAD) // (max_bytes + PROCESSES * one_line)
    for backup in backups:
        # Full, and by no more than the lines the others had begun to write.
        assert max_bytes <= backup.stat().st_size <= max_bytes + (PROCESSES + 1) * one_line
    assert {b.name for b in backups} == {f"application.log.{n + 1}" for n in range(len(backups))}


def test_a_full_file_is_renamed_and_the_oldest_backup_goes(path: Path) -> None:
    handler = handler_for(path, max_bytes=10_000, backups=2)
    for number in range(9):  # two lines fill a file
        write(handler, number=number, pad="x" * 6_000)
    handler.close()
    assert [(name, extra["number"]) for name, extra in written(path.parent)] == [
        ("application.log", 8),
        ("application.log.1", 6),
        ("application.log.1", 7),
        ("application.log.2", 4),
        ("application.log.2", 5),
    ]


def test_a_file_that_somebody_else_renamed_is_followed(path: Path) -> None:
    handler = handler_for(path, max_bytes=1_000_000, backups=2)
    write(handler, number=1)
    write(handler, number=2)
    path.rename(path.with_name("application.log.taken"))
    write(handler, number=3)
    handler.close()
    assert [(name, extra["number"]) for name, extra in written(path.parent)] == [
        ("application.log", 3),
        ("application.log.taken", 1),
        ("application.log.taken", 2),
    ]


def test_who_comes_second_to_a_full_file_does_not_rename_the_new_one(path: Path) -> None:
    first = handler_for(path, max_bytes=10_000, backups=3)
    second = handler_for(path, max_bytes=10_000, backups=3)
    write(second, number=0)
    write(first, number=1, pad="x" * 12_000)  # full: renamed
    write(first, number=2)
    assert second.stream is not None
    second._rotate()  # thinks that its file is still the one with the name
    write(second, number=3)
    first.close()
    second.close()
    assert [(name, extra["number"]) for name, extra in written(path.parent)] == [
        ("application.log", 2),
        ("application.log", 3),
        ("application.log.1", 0),
        ("application.log.1", 1),
    ]


def test_the_folder_is_made_and_the_file_only_with_the_first_line(path: Path) -> None:
    handler = handler_for(path, max_bytes=10_000, backups=1)
    assert path.parent.is_dir()
    assert not path.exists()
    write(handler, number=1)
    handler.close()
    assert path.exists()


def test_console_and_file_speak_the_same_language(tmp_path: Path) -> None:
    config = logging_config(
        level="INFO", console_level="WARNING", file=tmp_path / "a.log", max_bytes=10, backups=3
    )
    assert config["root"] == {"level": "INFO", "handlers": ["console", "file"]}
    assert config["handlers"]["console"]["stream"] == "ext://sys.stdout"
    assert config["handlers"]["console"]["level"] == "WARNING"
    assert {handler["formatter"] for handler in config["handlers"].values()} == {"json"}
    assert config["handlers"]["file"]["max_bytes"] == 10
    assert config["handlers"]["file"]["backups"] == 3
    assert config["disable_existing_loggers"] is False

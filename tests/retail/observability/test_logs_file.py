"""The log file shared by several processes: no line lost or split, rotation in time."""

from __future__ import annotations

import json
import multiprocessing
import os
from typing import TYPE_CHECKING

import pytest

from retail.observability.logs.sinks import SharedFile, ends_torn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

PROCESSES = 4
PATIENCE = 300  # seconds; no speed is asserted
LINES = 300
PAD = "x" * 20_000  # more than the buffer of a Python file


def line(**extra: object) -> bytes:
    return json.dumps({"extra": extra}).encode() + b"\n"


def write_many(together: Barrier, path: Path, process: int, max_bytes: int, at_once: int) -> None:
    """Run in a separate process."""
    file = SharedFile(path, max_bytes, backups=100)
    together.wait(timeout=PATIENCE)
    for first in range(0, LINES, at_once):
        numbers = range(first, first + at_once)
        file.write([line(line_of=process, number=number, pad=PAD) for number in numbers])
    file.close()


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


def _stays(_: Path) -> None:
    pass


def _grows(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b" rest\n")


def _is_rotated(path: Path) -> None:
    path.rename(f"{path}.1")


@pytest.mark.parametrize(
    ("text", "meanwhile", "torn"),
    [
        (b"", _stays, False),
        (b"a line\n", _stays, False),
        (b"a line\na torn", _stays, True),
        (b"a line\none being written", _grows, False),
        (b"a line\na torn", _is_rotated, True),
    ],
)
def test_a_line_is_torn_if_nobody_writes_its_rest(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: bytes,
    meanwhile: Callable[[Path], None],
    torn: bool,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    monkeypatch.setattr("retail.observability.logs.sinks.time.sleep", lambda _: meanwhile(path))
    assert ends_torn(path) is torn


def test_a_file_that_was_rotated_just_now_is_not_torn(path: Path) -> None:
    assert not ends_torn(path)


@pytest.mark.parametrize("at_once", [1, 5])
def test_processes_that_write_and_rotate_concurrently_lose_no_line(
    path: Path, at_once: int
) -> None:
    max_bytes = 500_000
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(PROCESSES)
    writers = [
        context.Process(target=write_many, args=(together, path, process, max_bytes, at_once))
        for process in range(PROCESSES)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=PATIENCE)
        assert writer.exitcode == 0
    lines = [(extra["line_of"], extra["number"]) for _, extra in written(path.parent)]
    assert sorted(lines) == [(p, n) for p in range(PROCESSES) for n in range(LINES)]
    one_write = at_once * (len(PAD) + 300)
    backups = sorted(path.parent.glob("application.log.[0-9]*"))
    assert len(backups) >= PROCESSES * LINES * len(PAD) // (max_bytes + PROCESSES * one_write)
    for backup in backups:
        # Full, and exceeded only by concurrent writes.
        assert max_bytes <= backup.stat().st_size <= max_bytes + (PROCESSES + 1) * one_write
    assert {b.name for b in backups} == {f"application.log.{n + 1}" for n in range(len(backups))}


def test_a_full_file_is_renamed_and_the_oldest_backup_goes(path: Path) -> None:
    file = SharedFile(path, max_bytes=10_000, backups=2)
    for number in range(9):  # two lines fill a file
        file.write([line(number=number, pad="x" * 6_000)])
    file.close()
    assert [(name, extra["number"]) for name, extra in written(path.parent)] == [
        ("application.log", 8),
        ("application.log.1", 6),
        ("application.log.1", 7),
        ("application.log.2", 4),
        ("application.log.2", 5),
    ]


def test_lines_written_together_stay_together(path: Path) -> None:
    file = SharedFile(path, max_bytes=10_000, backups=2)
    file.write([line(number=number, pad="x" * 6_000) for number in range(4)])
    file.write([line(number=4)])
    file.close()
    assert [(name, extra["number"]) for name, extra in written(path.parent)] == [
        ("application.log", 4),
        *(("application.log.1", number) for number in range(4)),
    ]


def test_a_partial_write_is_completed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = os.write
    monkeypatch.setattr(os, "write", lambda file, text: take(file, text[:7]))
    file = SharedFile(path, max_bytes=10_000, backups=2)
    file.write([line(number=1), line(number=2)])
    file.close()
    assert path.read_bytes() == line(number=1) + line(number=2)


def test_a_file_renamed_or_removed_by_others_is_reopened(path: Path) -> None:
    file = SharedFile(path, max_bytes=1_000_000, backups=2)
    file.write([line(number=1)])
    file.write([line(number=2)])
    path.rename(path.with_name("application.log.taken"))
    file.write([line(number=3)])
    path.unlink()
    file.write([line(number=4)])
    file.close()
    assert [(name, extra["number"]) for name, extra in written(path.parent)] == [
        ("application.log", 4),
        ("application.log.taken", 1),
        ("application.log.taken", 2),
    ]


def test_a_full_file_is_rotated_only_once(path: Path) -> None:
    first = SharedFile(path, max_bytes=10_000, backups=3)
    second = SharedFile(path, max_bytes=10_000, backups=3)
    second.write([line(number=0)])
    first.write([line(number=1, pad="x" * 12_000)])  # full: renamed
    first.write([line(number=2)])
    second._rotate()  # still has the old file open
    second.write([line(number=3)])
    first.close()
    second.close()
    assert [(name, extra["number"]) for name, extra in written(path.parent)] == [
        ("application.log", 2),
        ("application.log", 3),
        ("application.log.1", 0),
        ("application.log.1", 1),
    ]


def test_the_folder_is_created_at_start_and_the_file_with_the_first_line(path: Path) -> None:
    file = SharedFile(path, max_bytes=10_000, backups=1)
    assert path.parent.is_dir()
    assert not path.exists()
    file.write([line(number=1)])
    file.close()
    assert path.exists()


def test_a_closed_file_is_reopened_for_late_lines(path: Path) -> None:
    file = SharedFile(path, max_bytes=10_000, backups=1)
    for number in range(2):
        file.write([line(number=number)])
        file.close()
        file.close()
    assert path.read_bytes() == line(number=0) + line(number=1)
    assert file._file is None


def test_a_file_closed_by_others_is_reopened(tmp_path: Path) -> None:
    path = tmp_path / "application.log"
    file = SharedFile(path, 1_000_000, backups=1)
    file.write([line(number=1)])
    assert file._file is not None
    os.close(file._file)
    file.write([line(number=2)])
    file.close()
    assert [extra["number"] for _, extra in written(tmp_path)] == [1, 2]

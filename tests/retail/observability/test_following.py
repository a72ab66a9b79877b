"""Following a file: each line comes once, however the file is written, rotated or replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from retail.observability.logs import following
from retail.observability.logs.following import PIECE, Follower


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "proxy.log"


@pytest.fixture
def follower(log: Path) -> Follower:
    """Return a follower that has seen that there is no file yet."""
    follower = Follower(log)
    assert follower.read() == ([], False)
    return follower


def append(log: Path, text: bytes) -> None:
    with log.open("ab") as file:
        file.write(text)


def lines(follower: Follower) -> list[bytes]:
    found, _ = follower.read()
    return found


def test_each_line_comes_once(follower: Follower, log: Path) -> None:
    append(log, b"one\ntwo\n")
    assert lines(follower) == [b"one", b"two"]
    assert lines(follower) == []
    append(log, b"three\n")
    assert lines(follower) == [b"three"]


def test_what_was_there_at_the_start_does_not_come(log: Path) -> None:
    append(log, b"old\n")
    follower = Follower(log)
    assert lines(follower) == []
    append(log, b"new\n")
    assert lines(follower) == [b"new"]


def test_a_line_comes_once_it_is_whole(follower: Follower, log: Path) -> None:
    append(log, b"one\nha")
    assert lines(follower) == [b"one"]
    append(log, b"l")
    assert lines(follower) == []
    append(log, b"f\n")
    assert lines(follower) == [b"half"]


def test_a_line_that_was_being_written_at_the_start_is_new(log: Path) -> None:
    append(log, b"old\nha")
    follower = Follower(log)
    assert lines(follower) == []
    append(log, b"lf\n")
    assert lines(follower) == [b"half"]


def test_the_start_of_a_large_file_is_its_last_line(log: Path) -> None:
    append(log, b"x" * PIECE + b"\nold\nha")
    follower = Follower(log)
    assert lines(follower) == []
    append(log, b"lf\n")
    assert lines(follower) == [b"half"]


def test_a_rotated_file_is_read_to_its_end(follower: Follower, log: Path) -> None:
    append(log, b"one\n")
    assert lines(follower) == [b"one"]
    append(log, b"two\n")
    old = log.rename(log.with_name("proxy.log.1"))
    append(old, b"three\n")  # nginx has not been told yet
    assert lines(follower) == [b"two", b"three"]
    append(log, b"five\n")
    append(old, b"four\n")
    assert lines(follower) == [b"four", b"five"]
    append(old, b"late\n")  # one of nginx's processes has it still open
    assert lines(follower) == [b"late"]


def test_files_before_the_last_rotation_are_closed(follower: Follower, log: Path) -> None:
    held = Path("/proc/self/fd")
    before = len([*held.iterdir()])
    for number in range(9):
        append(log, b"%d\n" % number)
        assert lines(follower) == [b"%d" % number]
        log.replace(log.with_name("proxy.log.1"))
    assert len([*held.iterdir()]) == before + 2


def test_an_emptied_file_is_read_from_its_start(follower: Follower, log: Path) -> None:
    append(log, b"one\ntwo\n")
    assert lines(follower) == [b"one", b"two"]
    log.write_bytes(b"three\n")
    assert lines(follower) == [b"three"]
    log.write_bytes(b"")
    assert lines(follower) == []
    append(log, b"four\n")
    assert lines(follower) == [b"four"]


def test_a_file_that_is_removed_and_comes_again(follower: Follower, log: Path) -> None:
    append(log, b"one\n")
    assert lines(follower) == [b"one"]
    log.unlink()
    assert lines(follower) == []
    append(log, b"two\n")
    assert lines(follower) == [b"two"]


def test_one_read_is_limited(
    follower: Follower, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PIECE", 10)
    append(log, b"one\ntwo\nthree\nfour\n")
    assert follower.read() == ([b"one", b"two"], True)
    assert follower.read() == ([b"three"], True)
    assert follower.read() == ([b"four"], False)


def test_a_huge_line_holds_nothing_up(
    follower: Follower, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PIECE", 10)
    append(log, b"x" * 25 + b"\ntwo\n")
    found: list[bytes] = []
    more = True
    while more:
        some, more = follower.read()
        found += some
    assert b"".join(found[:-1]) == b"x" * 25
    assert max(map(len, found)) == 10
    assert found[-1] == b"two"


def test_any_bytes_come(follower: Follower, log: Path) -> None:
    append(log, b"\xff\x00\n\n{\n")
    assert lines(follower) == [b"\xff\x00", b"", b"{"]


def test_a_file_that_cannot_be_read_is_an_error(follower: Follower, log: Path) -> None:
    log.mkdir()
    with pytest.raises(IsADirectoryError):
        follower.read()

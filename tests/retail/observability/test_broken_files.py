"""Files that a killed process has left half-written: metrics go on and say what was dropped."""

import json
import logging
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from retail import jobs
from retail.observability import runs
from retail.observability.logs.sinks import SharedFile
from retail.observability.logs.writer import LineWriter
from retail.observability.prometheus import slots
from retail.observability.runs import Run
from tests.retail.observability.roles import ANSWERED, ERRORS, IN_PROGRESS, Role
from tests.support import moved

# Prints what a scrape logs as comments.
SCRAPE = """
import logging
from retail.observability.prometheus import exposition
class Shown(logging.Handler):
    def emit(self, record):
        print("# said", record.getMessage(), record.file)
logging.getLogger("retail").addHandler(Shown())
print(exposition.render("")[0].decode())
"""
LOST = 'retail_telemetry_errors_total{sink="metrics"}'


def _header(number: int) -> Callable[[bytes], bytes]:
    return lambda content: struct.pack("i", number) + content[4:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a few bytes": lambda content: content[:3],
    "only its header": lambda content: content[:8],
    "half of what is used": lambda content: content[: struct.unpack("i", content[:4])[0] // 2],
    "zeros at the end": lambda content: content[:200].ljust(len(content), b"\0"),
    "rubbish within": lambda content: content[:100] + b"\xff\xfe{[" * 25 + content[200:],
    "only rubbish": lambda content: b"\x7f\xff\x80" * (len(content) // 3),
    "a negative size": _header(-8),
    "too great a size": _header(2**31 - 1),
}


@pytest.fixture
def role(tmp_path: Path) -> Role:
    folder = tmp_path / "web"
    folder.mkdir()
    return Role(folder)


def scrape(role: Role) -> tuple[dict[str, float], list[str]]:
    """Return the values of a scrape and the files that it said it has dropped."""
    lines = [line for line in role.run(SCRAPE).splitlines() if line]
    values = (line.rpartition(" ") for line in lines if line[0] != "#")
    said = [line.split()[-1] for line in lines if line.startswith("# said event=metrics.file_drop")]
    return {name: float(value) for name, _, value in values}, said


def damage_slot1(role: Role, damage: Callable[[bytes], bytes], *kinds: str) -> None:
    for kind in kinds:
        file = role.folder / f"{kind}_slot1.db"
        file.write_bytes(damage(file.read_bytes()))


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_scrape_leaves_out_what_it_cannot_read_and_says_so(
    role: Role, damage: Callable[[bytes], bytes]
) -> None:
    with role.process(1), role.process(2):
        damage_slot1(role, damage, "counter", "histogram")
        values, said = scrape(role)
    assert values[ERRORS] == values[ANSWERED] == 1
    assert values[IN_PROGRESS] == 2
    assert sorted(said) == ["counter_slot1.db", "histogram_slot1.db"]
    assert values[LOST] == 2


def within_an_entry(content: bytes) -> bytes:
    """Return a file that can be read, but not be continued."""
    return _header(struct.unpack("i", content[:4])[0] - 12)(content)


@pytest.mark.parametrize("damage", [*DAMAGES.values(), within_an_entry], ids=[*DAMAGES, "within"])
def test_the_next_process_starts_without_the_files_that_it_cannot_read(
    role: Role, damage: Callable[[bytes], bytes]
) -> None:
    with role.process(1), role.process(2):
        pass  # both are killed
    damage_slot1(role, damage, "counter", "histogram", "gauge_livesum")
    with role.process(4), role.process(8):  # the same slots
        values, said = scrape(role)
        assert values[ERRORS] == 1 + 4 + 8
        assert values[IN_PROGRESS] == 2
        # The gauges of a process that has ended are deleted anyway.
        assert sorted(said) == ["counter_slot1.db", "histogram_slot1.db"]
        assert values[LOST] == 2
        assert scrape(role)[1] == []  # it says so once


def test_a_file_without_content_is_no_loss(role: Role) -> None:
    with role.process(1), role.process(2):
        damage_slot1(role, lambda _: b"", "counter")
        values, said = scrape(role)
    assert (values[ERRORS], said) == (1, [])


@pytest.mark.django_db
@pytest.mark.parametrize(
    "note", [b"", b"{", b"\xff", b"[]", b'["task"]', b"null", b'[1, 2, "x"]', b'["gone", "", 1]']
)
def test_a_half_written_note_of_a_job_is_a_killed_job(
    note: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slots, "folder", lambda: tmp_path)
    (tmp_path / "1.job").write_bytes(note)
    with moved() as changes:
        jobs.record_killed()
    assert changes == {LOST: 1}
    assert "event=job.killed" in caplog.messages
    assert list(tmp_path.iterdir()) == []


def test_a_whole_note_is_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "folder", lambda: tmp_path)
    (tmp_path / "1.job").write_text(json.dumps(Run("prune_sessions", "id", 7)))
    assert runs.take_killed() == [Run("prune_sessions", "id", 7)]


def writer_of(file: Path) -> LineWriter:
    with (file.parent / "console").open("w") as console:
        return LineWriter(
            file=str(file),
            max_bytes=10_000,
            backups=1,
            console=console,
            console_level="CRITICAL",
            flush_seconds=0,
        )


@pytest.mark.django_db
def test_a_line_that_was_torn_is_ended_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "application.log"
    file.write_bytes(b'{"whole": 1}\n{"timest')
    writer = writer_of(file)
    record = logging.LogRecord("retail", logging.INFO, "", 0, "event=later", (), None)
    with moved() as changes:
        writer.emit(record)
        writer.emit(record)
    writer.close()
    assert file.read_text() == '{"whole": 1}\n{"timest\nevent=later\nevent=later\n'
    assert changes == {'retail_telemetry_errors_total{sink="log"}': 1}
    assert caplog.messages == ["event=log.torn_line"]


@pytest.mark.parametrize("content", [b"", b"{}\n", b"\n"])
def test_a_whole_log_is_continued(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "application.log"
    file.write_bytes(content)
    sink = SharedFile(file, 10_000, 1)
    sink.write([b"later\n"])
    sink.close()
    assert file.read_bytes() == content + b"later\n"
    assert sink.inherited == 0


def test_a_line_that_is_being_written_is_not_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "application.log"
    file.write_bytes(b"half")

    def the_other_goes_on(_: float) -> None:
        with file.open("ab") as other:
            other.write(b" and half\n")

    monkeypatch.setattr("retail.observability.logs.sinks.time.sleep", the_other_goes_on)
    sink = SharedFile(file, 10_000, 1)
    sink.write([b"later\n"])
    sink.close()
    assert file.read_bytes() == b"half and half\nlater\n"

"""What a killed gateway has left half-written: a torn log line, a damaged ledger."""

import json
import sqlite3
from pathlib import Path

import pytest

from gateway_simulator import __main__, logs
from gateway_simulator.ledger import Ledger
from tests.gateway_simulator.support import Process


@pytest.mark.parametrize(
    ("content", "torn", "after"),
    [
        (b"", False, b""),
        (b"{}\n", False, b"{}\n"),
        (b'{}\n{"time', True, b'{}\n{"time\n'),
        (b"\xff\xff", True, b"\xff\xff\n"),
    ],
)
def test_a_torn_line_is_ended(tmp_path: Path, content: bytes, torn: bool, after: bytes) -> None:
    file = tmp_path / "gateway.log"
    file.write_bytes(content)
    assert logs.end_torn_line(file) is torn
    assert file.read_bytes() == after
    assert logs.end_torn_line(tmp_path / "none") is False


def test_the_gateway_says_that_a_line_was_torn(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "gateway.log"
    log.parent.mkdir()
    log.write_bytes(b'{"timestamp": "20')
    gateway = Process(tmp_path).start()
    gateway.stop()
    [first, second, *_] = log.read_text().splitlines()
    assert first == '{"timestamp": "20'
    assert json.loads(second)["message"] == "event=gateway.log_torn_line"


def damaged(path: Path) -> None:
    """Create a ledger and damage a page of it that no start reads."""
    ledger = Ledger(path)
    ledger.create()
    for number in range(200):
        ledger.cancel(f"{number}-{'k' * 60}")
    ledger.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[-4096 * 2 : -4096] = b"\xa5" * 4096
    path.write_bytes(content)


def test_a_damaged_ledger_is_refused_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ledger.sqlite3"
    damaged(path)
    monkeypatch.setenv("GATEWAY_LEDGER", str(path))
    monkeypatch.setenv("LOG_DIR", str(tmp_path))
    monkeypatch.setattr("logging.config.dictConfig", lambda _: None)
    with pytest.raises(SystemExit, match="2"):
        __main__.main()
    assert f"GATEWAY_LEDGER: {path} cannot be used as the ledger" in capsys.readouterr().err

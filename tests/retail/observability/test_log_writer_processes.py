"""Log lines when processes fork and exit: each is written exactly once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings

if TYPE_CHECKING:
    from pathlib import Path

# Nothing is written before the end, unless flushed.
BEGIN = """
import logging, logging.config, multiprocessing, os, signal, sys, threading
from pathlib import Path
from retail.observability.logs.formatter import log_event, logging_config

folder, seconds, size = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
config = logging_config(
    level="INFO", console_level="INFO", file=folder / "application.log", max_bytes=size,
    backups=1000, flush_seconds=seconds,
)
logging.config.dictConfig(config)
logger = logging.getLogger("retail.test")

def say(who, first, last, level=logging.INFO):
    for number in range(first, last):
        log_event(logger, level, "event=test", {"who": who, "number": number})
"""

FORKS = """
say("parent", 0, 70)
assert [thread.name for thread in threading.enumerate()][1:] == ["log-lines"]
forked = os.fork()
if forked == 0:
    assert threading.active_count() == 1
    say("forked", 0, 30)
    assert threading.active_count() == 2
    sys.exit()  # like a gunicorn worker
assert os.waitpid(forked, 0)[1] == 0
child = multiprocessing.get_context("fork").Process(target=say, args=("child", 0, 40))
child.start()  # like a worker of the job queue
child.join()
assert child.exitcode == 0
silent = os.fork()
if silent == 0:
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(silent, 0)
say("parent", 70, 80)
assert "parent" not in (folder / "application.log").read_text()
"""

ENDS = {
    "the end of the program": "",
    "exit": "sys.exit()",
    "an error": "raise RuntimeError",
    "interrupt": "os.kill(os.getpid(), signal.SIGINT)",
    "last words": "import atexit; atexit.register(say, 'it', 5, 9)",
    "new configuration": "logging.config.dictConfig(config); say('it', 5, 9)",
}

# A warning flushes all earlier lines, so no write has more than 150 lines and there are many
# writes, whenever the thread runs.
THREADS = """
def chat(who):
    for first in range(0, 400, 50):
        say(who, first, first + 49)
        say(who, first + 49, first + 50, logging.WARNING)

threads = [
    threading.Thread(target=chat, args=(f"{sys.argv[4]} {number}",)) for number in range(3)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def start(
    script: str, folder: Path, *more: str, seconds: float = 3600, size: int = 10_000_000
) -> subprocess.Popen[bytes]:
    with (folder / "stdout").open("ab") as stdout, (folder / "stderr").open("ab") as stderr:
        return subprocess.Popen(
            [sys.executable, "-c", BEGIN + script, str(folder), str(seconds), str(size), *more],
            cwd=settings.BASE_DIR,
            stdout=stdout,
            stderr=stderr,
        )


def numbers_in(path: Path) -> dict[str, list[int]]:
    """Return the numbers logged by each source; each line must be complete."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    numbers: dict[str, list[int]] = {}
    for line in text.splitlines():
        extra: dict[str, Any] = json.loads(line)["extra"]
        numbers.setdefault(extra["who"], []).append(extra["number"])
    return numbers


def test_forked_processes_write_only_their_own_lines(tmp_path: Path) -> None:
    assert start(FORKS, tmp_path).wait() == 0, (tmp_path / "stderr").read_text()
    for name in ("application.log", "stdout"):
        assert numbers_in(tmp_path / name) == {
            "parent": list(range(80)),
            "forked": list(range(30)),
            "child": list(range(40)),
        }


@pytest.mark.parametrize("end", ENDS)
def test_the_queue_is_written_when_a_process_ends(end: str, tmp_path: Path) -> None:
    start(f"say('it', 0, 5)\n{ENDS[end]}", tmp_path).wait()
    last = 9 if end in {"last words", "new configuration"} else 5
    for name in ("application.log", "stdout"):
        assert numbers_in(tmp_path / name) == {"it": list(range(last))}


def test_a_killed_process_loses_only_queued_lines(tmp_path: Path) -> None:
    script = """
say("it", 0, 100)
say("it", 100, 101, logging.WARNING)
say("it", 101, 200)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert start(script, tmp_path).wait() == -signal.SIGKILL
    for name in ("application.log", "stdout"):
        assert numbers_in(tmp_path / name) == {"it": list(range(101))}


def test_threads_and_processes_that_write_and_rotate_lose_no_line(tmp_path: Path) -> None:
    processes = [
        start(THREADS, tmp_path, str(number), seconds=0.001, size=20_000) for number in range(3)
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    log = tmp_path / "application.log"
    parts = sorted(
        (path for path in tmp_path.glob("application.log.*") if path.suffix != ".lock"),
        key=lambda path: -int(path.suffix[1:]),
    )
    assert len(parts) > 2
    whole = tmp_path / "whole"
    whole.write_bytes(b"".join(part.read_bytes() for part in [*parts, log] if part.exists()))
    expected = {
        f"{process} {thread}": list(range(400)) for process in range(3) for thread in range(3)
    }
    assert numbers_in(whole) == numbers_in(tmp_path / "stdout") == expected

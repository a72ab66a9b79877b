"""Fixtures for tests of the log writer."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from retail.observability.logs.formatter import JsonFormatter, log_event
from retail.observability.logs.writer import LineWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Open = Callable[..., LineWriter]
    Written = Callable[[str], list[dict[str, Any]]]

PATIENCE = 60  # seconds; no speed is asserted
NEVER = 3600.0  # seconds between writes of the thread

logger = logging.getLogger("retail.observability.test_log_writer")


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the list of writes."""
    taken: list[bytes] = []
    take = os.write

    def write(file: int, text: bytes) -> int:
        taken.append(text)
        return take(file, text)

    monkeypatch.setattr(os, "write", write)
    return taken


@pytest.fixture
def open_writer(tmp_path: Path) -> Iterator[Open]:
    """Return a function that adds a writer to `logger`."""
    with contextlib.ExitStack() as stack:

        def open_one(flush_seconds: float = NEVER, console_level: str = "INFO") -> LineWriter:
            stream = stack.enter_context((tmp_path / "console").open("w", encoding="utf-8"))
            writer = LineWriter(
                file=str(tmp_path / "file"),
                max_bytes=10_000_000,
                backups=1,
                console=stream,
                console_level=console_level,
                flush_seconds=flush_seconds,
            )
            writer.setFormatter(JsonFormatter())
            logger.addHandler(writer)
            stack.callback(writer.close)
            stack.callback(logger.removeHandler, writer)
            return writer

        logger.setLevel(logging.INFO)
        logger.propagate = False
        yield open_one
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Return a function that returns the lines in "file" or on "console"."""

    def read(name: str) -> list[dict[str, Any]]:
        path = tmp_path / name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        assert text.endswith("\n") or not text
        return [json.loads(line) for line in text.splitlines()]

    return read


def say(number: int, level: int = logging.INFO) -> None:
    log_event(logger, level, "event=test", {"number": number})


def numbers(lines: list[dict[str, Any]]) -> list[int]:
    return [line["extra"]["number"] for line in lines]


def wait_until(true: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until
        time.sleep(0.005)

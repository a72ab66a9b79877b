"""A thread writes lines in order, each once; warnings are written immediately."""

from __future__ import annotations

import logging
import queue
from typing import TYPE_CHECKING

import pytest

from retail.observability.context import request_context
from retail.observability.logs.formatter import logging_config
from retail.observability.logs.writer import LIMIT
from tests.retail.observability.log_writing import (
    logger,
    numbers,
    open_writer,
    pieces,
    say,
    wait_until,
    written,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.retail.observability.log_writing import Open, Written

__all__ = ["open_writer", "pieces", "written"]


def test_lines_are_written_in_batches_and_in_order(
    open_writer: Open, written: Written, pieces: list[bytes]
) -> None:
    writer = open_writer()
    for number in range(3):
        say(number)
        logger.info("event=test", extra={"number": 100 + number})
    assert pieces == []
    writer.flush()
    assert numbers(written("file")) == numbers(written("console")) == [0, 100, 1, 101, 2, 102]
    assert len(pieces) == 2  # one for each sink
    writer.flush()
    assert len(pieces) == 2


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR, logging.CRITICAL])
def test_a_warning_is_written_immediately_with_all_earlier_lines(
    open_writer: Open, written: Written, level: int
) -> None:
    open_writer()
    say(1)
    say(2)
    assert written("file") == []
    say(3, level)
    say(4)
    assert numbers(written("file")) == numbers(written("console")) == [1, 2, 3]


def test_the_number_of_queued_lines_is_limited(open_writer: Open, written: Written) -> None:
    open_writer()
    for number in range(LIMIT):
        say(number)
    assert written("file") == []
    say(LIMIT)
    assert numbers(written("file")) == list(range(LIMIT + 1))


def test_the_console_may_be_quieter_than_the_file(open_writer: Open, written: Written) -> None:
    open_writer(console_level="WARNING")
    say(1)
    say(2, logging.WARNING)
    assert (numbers(written("console")), numbers(written("file"))) == ([2], [1, 2])


def test_with_zero_seconds_each_line_is_written_immediately_without_a_thread(
    open_writer: Open, written: Written
) -> None:
    writer = open_writer(flush_seconds=0)
    for number in range(3):
        say(number)
        assert numbers(written("file")) == list(range(number + 1))
    assert writer._thread is None


def test_a_line_has_the_id_of_its_own_request(open_writer: Open, written: Written) -> None:
    writer = open_writer()
    say(1)
    logger.info("event=test")
    with request_context("first"):
        say(2)
        logger.info("event=test")
    with request_context("second"):
        writer.flush()
    ids = [line["request_id"] for line in written("file")]
    assert ids == ["", "", "first", "first"]


class Changing:
    """An object whose text can change."""

    says = "before"

    def __str__(self) -> str:
        return self.says


def test_a_line_has_the_values_at_the_time_of_logging(open_writer: Open, written: Written) -> None:
    writer = open_writer()
    things = [1]
    changing = Changing()
    logger.info("%s are here", things)
    logger.info("event=test", extra={"things": things})
    logger.info({"things": things})
    logger.info(changing)
    things.append(2)
    changing.says = "after"
    writer.flush()
    assert [line["extra"] for line in written("file")] == [
        {"text": "[1] are here"},
        {"things": [1]},
        {"things": [1], "text": ""},
        {"text": "before"},
    ]


def test_a_filter_is_applied(open_writer: Open, written: Written) -> None:
    writer = open_writer()
    writer.addFilter(lambda record: record.__dict__["number"] != 2)
    for number in (1, 2, 3):
        say(number)
    writer.flush()
    assert numbers(written("file")) == [1, 3]


def test_the_thread_writes_and_sleeps_while_the_queue_is_empty(
    open_writer: Open, written: Written
) -> None:
    writer = open_writer(flush_seconds=0.001)
    asked: list[float | None] = []

    class Wake(queue.SimpleQueue[bool]):
        def get(self, block: bool = True, timeout: float | None = None) -> bool:
            asked.append(timeout)
            return super().get(block, timeout)

    writer._wake = Wake()
    assert writer._thread is None
    for number in range(1, 3):
        say(number)
        wait_until(lambda: asked.count(None) == number + 1)  # noqa: B023 - called in this round
        assert numbers(written("file")) == numbers(written("console")) == list(range(1, number + 1))
    # Woken by a line, it polls until no more come, and then blocks.
    assert asked == [None, 0.001, 0.001, None, 0.001, 0.001, None]


def test_a_closed_writer_writes_immediately(open_writer: Open, written: Written) -> None:
    writer = open_writer()
    say(1)
    thread = writer._thread
    assert thread is not None
    assert written("file") == []
    writer.close()
    assert not thread.is_alive()
    assert numbers(written("file")) == [1]
    say(2)
    assert numbers(written("file")) == numbers(written("console")) == [1, 2]


def test_one_handler_writes_the_lines_of_all_loggers(tmp_path: Path) -> None:
    config = logging_config(
        level="INFO",
        console_level="WARNING",
        file=tmp_path / "a.log",
        max_bytes=10,
        backups=3,
        flush_seconds=0.5,
    )
    assert config["root"] == {"level": "INFO", "handlers": ["lines"]}
    assert config["handlers"] == {
        "lines": {
            "()": "retail.observability.logs.writer.LineWriter",
            "file": str(tmp_path / "a.log"),
            "max_bytes": 10,
            "backups": 3,
            "console": "ext://sys.stdout",
            "console_level": "WARNING",
            "flush_seconds": 0.5,
            "formatter": "json",
        }
    }
    assert config["disable_existing_loggers"] is False

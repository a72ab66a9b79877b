"""Two requests at once, which meet before either of them writes."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.db import connection, connections

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpResponse

# The first of these in each request. SQLite locks when a transaction begins.
_WRITES = re.compile(r"\s*(?:BEGIN|INSERT|UPDATE|DELETE|.*FOR UPDATE)\b", re.IGNORECASE | re.DOTALL)
MEETING_SECONDS = 3  # the other may wait for a lock, or write nothing


class Meeting:
    """Holds each of two threads at its first write until the other gets there too."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2)
        self._met = threading.local()
        self.complete = False

    def wait(self) -> None:
        """Wait for the other thread, once."""
        if not getattr(self._met, "done", False):
            self._met.done = True
            with suppress(threading.BrokenBarrierError):
                self._barrier.wait(MEETING_SECONDS)
                self.complete = True

    def execute(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Execute a statement; before the first that writes, meet the other thread."""
        if _WRITES.match(sql):
            self.wait()
        return execute(sql, params, many, context)


def twice_at_once(send: Callable[[], HttpResponse]) -> tuple[list[Any], bool]:
    """Send a request in two threads; return the responses or exceptions, and whether they met."""
    meeting = Meeting()
    results: list[Any] = []

    def run() -> None:
        try:
            with connection.execute_wrapper(meeting.execute):
                results.append(send())
        except Exception as error:  # noqa: BLE001 - a result
            results.append(error)
        finally:
            meeting.wait()  # it wrote nothing: let the other go on
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results, meeting.complete

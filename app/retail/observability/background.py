"""Reads that may hang: made in a thread of their own, while callers wait a limited time."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class SharedRead(Generic[Result]):
    """Runs `read` in a thread, at most once at a time: whoever asks meanwhile waits for that run.

    So a database that hangs holds one thread, however many ask, and none of those that answer
    requests. The thread ends with `release`, to close its connections. With `use_thread` off
    (tests), callers run `read` themselves.
    """

    use_thread = True

    def __init__(
        self, read: Callable[[], Result], release: Callable[[], object] = lambda: None
    ) -> None:
        self._read = read
        self.release = release
        self._lock = threading.Lock()
        self._running: Future[Result] | None = None

    def result(self, seconds: float) -> Result:
        """Return the result. Raises TimeoutError after so many seconds, and what `read` raises."""
        if not self.use_thread:
            return self._read()
        with self._lock:
            running = self._running
            if running is None or running.done():
                self._running = running = Future()
                thread = threading.Thread(target=self._run, args=(running,), daemon=True)
                thread.start()
        return running.result(seconds)

    def _run(self, running: Future[Result]) -> None:
        try:
            result = self._read()
        except BaseException as error:  # noqa: BLE001 - for whoever asked
            self.release()
            running.set_exception(error)
        else:
            self.release()
            running.set_result(result)

"""A read that hangs holds one thread, and no caller longer than it wants to wait."""

import threading

import pytest

from retail.observability.background import SharedRead


@pytest.fixture(autouse=True)
def _in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SharedRead, "use_thread", True)


def test_the_result_or_the_error_of_a_read_is_returned() -> None:
    released: list[threading.Thread] = []

    def release() -> None:
        released.append(threading.current_thread())

    assert SharedRead(lambda: 3, release).result(60) == 3

    def fail() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        SharedRead(fail, release).result(60)
    assert len(released) == 2
    assert threading.current_thread() not in released


def test_whoever_asks_while_a_read_hangs_waits_for_that_read() -> None:
    hanging = threading.Event()
    threads = []

    def read() -> int:
        threads.append(threading.current_thread())
        hanging.wait()
        return len(threads)

    shared = SharedRead(read)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            shared.result(0.01)
    [thread] = threads
    assert thread is not threading.current_thread()
    hanging.set()
    thread.join()
    assert shared.result(60) == 2  # a new read

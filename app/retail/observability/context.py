"""The current request or job: its id, and what to observe when the request has been answered."""

from __future__ import annotations

import os
import re
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.http import HttpRequest

    ObserveAnswer = Callable[[float, str], None]
    """Takes the seconds until the answer, and the request id."""

# At most 64 characters: an exemplar's labels may have 128 characters in total.
_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)

_RANDOM_BYTES = 1024  # read at once: the system call takes longer than the rest of an id


def current_request_id() -> str:
    """Return the id of the current request or job, or "" outside of both."""
    current = _current.get()
    return "" if current is None else current.request_id


def well_formed(offered: str | None) -> str:
    """Return `offered` if it is 1 to 64 letters, digits, `.`, `_` or `-`; otherwise ""."""
    return offered if offered and _WELL_FORMED.fullmatch(offered) else ""


def current_request() -> HttpRequest | None:
    """Return the current request, or None outside of one."""
    current = _current.get()
    return None if current is None else current.request


def accepted_request_id(offered: str | None) -> str:
    """Return `offered` if it is well-formed; otherwise a new id."""
    return well_formed(offered) or _new_id()


def rename_request(request_id: str) -> None:
    """Give the current request another id."""
    current = _current.get()
    if current is not None:
        current.request_id = request_id


_random: list[str] = []  # 32 hexadecimal digits each, none used yet
os.register_at_fork(after_in_child=_random.clear)  # or parent and child would use the same


def _new_id() -> str:
    """Return a random UUID (version 4), like uuid.uuid4 but several times as fast."""
    try:
        digits = _random.pop()
    except IndexError:
        block = os.urandom(_RANDOM_BYTES).hex()
        digits, *more = [block[start : start + 32] for start in range(0, len(block), 32)]
        _random.extend(more)
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


class request_context:  # noqa: N801 - a context manager; contextlib's cost twice as much
    """Set the request id for the code inside the `with` block.

    With `answers`, that code is a request's, and `answered` runs what it gave to `at_answer`.
    """

    __slots__ = ("_answers", "_token", "request", "request_id")

    def __init__(
        self, request_id: str, *, answers: bool = False, request: HttpRequest | None = None
    ) -> None:
        self.request_id = request_id
        self.request = request
        # None if there is no answer to observe; most requests observe nothing.
        self._answers: Sequence[ObserveAnswer] | None = () if answers else None

    def __enter__(self) -> None:
        self._token = _current.set(self)

    def __exit__(self, *_raised: object) -> None:
        _current.reset(self._token)

    def answered(self, seconds: float) -> None:
        """Observe the whole time that the request took."""
        if self._answers:
            for observe in self._answers:
                observe(seconds, self.request_id)

    def add(self, observe: ObserveAnswer) -> bool:
        """Keep `observe` for the answer; return False if this is no request."""
        if self._answers is None:
            return False
        self._answers = (*self._answers, observe)
        return True


_current: ContextVar[request_context | None] = ContextVar("current", default=None)


def at_answer(observe: ObserveAnswer, seconds: float) -> None:
    """Call `observe` with the time from the current request's arrival to its answer.

    Outside of a request, it is called at once with `seconds`, the time so far.
    """
    current = _current.get()
    if current is None or not current.add(observe):
        observe(seconds, current_request_id())


class _Waited(threading.local):
    seconds = 0.0


# For how long the thread's current request has waited for the thread. Set by the server.
waited = _Waited()

"""The id of the request (or job) that the current code works for."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Also short enough for an exemplar, whose names and values may have 128 characters together.
_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """Return the id of the request or job at work here, or "" outside of any."""
    return _request_id.get()


def accepted_request_id(offered: str | None) -> str:
    """Return `offered` if it is 1 to 64 letters, digits, `.`, `_` or `-`; else a new id."""
    if offered and _WELL_FORMED.fullmatch(offered):
        return offered
    return str(uuid.uuid4())


@contextmanager
def request_context(request_id: str) -> Iterator[None]:
    """Let everything inside work under `request_id`."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)

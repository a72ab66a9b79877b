"""Formats by name. Each is a file here that registers a function; importing the file is enough."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, BinaryIO

from partner_feeds.reading.problems import FeedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from partner_feeds.reading.options import Options
    from partner_feeds.reading.problems import Reject
    from partner_feeds.reading.record import Record

    Reader = Callable[[BinaryIO, Options], Iterator[Record | Reject]]

_readers: dict[str, Reader] = {}


def register(name: str) -> Callable[[Reader], Reader]:
    """Register a format: a function from a file and its options to records and rejected rows.

    It raises FeedError where the file is not what it should be, or does not end whole.
    """

    def add(reader: Reader) -> Reader:
        _readers[name] = reader
        return reader

    return add


def names() -> list[str]:
    """Return the names of all formats."""
    return sorted(_readers)


def reader_of(name: str) -> Reader:
    """Return a format's function; raises FeedError for an unknown format."""
    if name not in _readers:
        raise FeedError(
            "unknown_format", f"There is no format {name!r}; there are {', '.join(names())}."
        )
    return _readers[name]


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

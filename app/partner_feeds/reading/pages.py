"""Pages of a JSON feed: what a page names as the next one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, BinaryIO

from partner_feeds.reading.json_scanner import Scanner, utf8_stream
from partner_feeds.reading.problems import FeedError

if TYPE_CHECKING:
    from partner_feeds.reading.options import Options

NEXT = "next"
_FAST = json.JSONDecoder(parse_int=float)  # values are only passed over


def next_page(file: BinaryIO, options: Options) -> str:
    """Return what the page from the file's position on names as the next one.

    Return nothing if it names none, or is none of several: then the reader says what is wrong.
    """
    try:
        scanner = Scanner(utf8_stream(file, options), options.limits, _FAST)
        return _next(scanner, options) if scanner.peek() == "{" else ""
    except FeedError:
        return ""


def _next(scanner: Scanner, options: Options) -> str:
    after = None
    for name in scanner.names():
        if name in options.mapping.lists and scanner.peek() == "[":
            for _ in scanner.values():
                pass
        else:
            value = scanner.value()
            after = value if name == NEXT else after
    return after if isinstance(after, str) else ""

"""Decodes JSON from a stream, value by value, by the standard library's scanner (docs/adr/0030).

A single record can be rejected for NaN, a name that is there twice, or a lone surrogate.
"""

from __future__ import annotations

import codecs
import json
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, BinaryIO

from partner_feeds.reading.problems import FeedError
from partner_feeds.reading.record import Unusable
from partner_feeds.reading.unpack import CHUNK, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from partner_feeds.reading.options import Limits, Options

# A number at the end of the buffer may go on: `1.`, `1e`, `1e+`.
LOOK_AHEAD = 3
_BLANK = re.compile(r"[ \t\r\n]*")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Unusable:
    cells = dict(pairs)
    if len(cells) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        return Unusable("name_twice", f"The name {twice[:40]!r} is there twice.")
    return cells


def _number(text: str) -> Decimal | Unusable:
    try:
        return Decimal(text)
    except InvalidOperation:
        return _constant(text)


def _constant(text: str) -> Unusable:
    return Unusable("not_a_number", f"{text[:30]} is not a number.")


DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_number, parse_int=_number, parse_constant=_constant
)


class Scanner:
    """Decodes values from a stream, one after the other."""

    def __init__(
        self, stream: BinaryIO, limits: Limits, decoder: json.JSONDecoder = DECODER
    ) -> None:
        self._stream = stream
        self._decode = decoder.raw_decode
        self._most = limits.record_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._at = 0
        self._before = 0  # characters that have left the buffer
        self._ended = False
        self.records = 0  # that were taken so far

    def _more(self) -> bool:
        """Read on; return False at the end of the file."""
        if self._ended:
            return False
        chunk = self._stream.read(CHUNK)
        self._ended = not chunk
        self._before += self._at
        self._text = self._text[self._at :] + self._decoder.decode(chunk, final=self._ended)
        self._at = 0
        return True

    def peek(self) -> str:
        """Return the next character that is not blank; at the end of the file, an empty text."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """Take one of the expected characters. Raises FeedError for another."""
        found = self.peek()
        if not found:
            raise FeedError("cut", "The file is cut off: it ends in the middle of its JSON.")
        if found not in expected:
            raise self._broken(self._at)
        self._at += 1
        return found

    def _name(self) -> str:
        """Take the name of a value. Raises FeedError for what is not one."""
        if self.peek() not in ('"', ""):
            raise self._broken(self._at)
        return str(self.value())

    def value(self) -> Any:
        """Take a value. Raises FeedError if it is not valid, not whole, or too large."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > self._most:
                    raise self._too_large(error) from error
                if not self._more():
                    raise self._broken(error.pos) from error
            except RecursionError as error:
                raise FeedError("too_deep", "The JSON is nested too deeply.") from error
            else:
                if len(self._text) - end < LOOK_AHEAD and self._more():
                    continue
                if end - self._at > self._most:
                    raise self._too_large()
                self._at = end
                return value

    def values(self) -> Iterator[Any]:
        """Take a list, and give its values."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            yield self.value()
            if self.take(",]") == "]":
                return

    def names(self) -> Iterator[str]:
        """Take an object, and give its names. After each, the caller must take its value."""
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        while True:
            name = self._name()
            self.take(":")
            yield name
            if self.take(",}") == "}":
                return

    def _too_large(self, error: json.JSONDecodeError | None = None) -> FeedError:
        if error and error.pos < len(self._text.rstrip()) and "Unterminated" not in error.msg:
            return self._broken(error.pos)
        return FeedError("row_too_large", f"A record has more than {self._most:,} characters.")

    def _broken(self, at: int) -> FeedError:
        text = self._text.rstrip()
        if self._ended and (at >= len(text) or not text.endswith(("]", "}"))):
            return FeedError("cut", "The file is cut off: it ends in the middle of its JSON.")
        return FeedError(
            "broken_json",
            f"The file is not valid JSON from character {self._before + at + 1:,} on: "
            f"{self._text[at : at + 20]!r}.",
        )


def utf8_stream(file: BinaryIO, options: Options) -> BinaryIO:
    """Return the file's bytes without a mark at their start; raises FeedError for UTF-16."""
    stream, marked = opened(file, options.limits)
    if marked == "utf-8-sig":
        stream.read(3)
    elif marked:
        raise FeedError("encoding", "JSON must be UTF-8, and the file is UTF-16.")
    return stream

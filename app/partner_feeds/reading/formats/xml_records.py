"""XML: an element for each record; its cells are named by the path of elements in it.

Names with a namespace are written `{namespace}name`; prefixes mean nothing. No DTD is read, no
entity is expanded, nothing is fetched: what is not plain XML is refused.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.parsers import expat

from partner_feeds.reading.formats import register
from partner_feeds.reading.problems import FeedError
from partner_feeds.reading.record import Record, Unusable
from partner_feeds.reading.unpack import CHUNK, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from partner_feeds.reading.options import Options

SEPARATOR = "\n"  # cannot be in a name
MOST_DEEP = 100


class _Handlers:
    """Collects records from the parser's events."""

    def __init__(self, options: Options, encoding: str) -> None:
        self.parser = expat.ParserCreate(encoding or None, SEPARATOR)
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.EntityDeclHandler = self._entity
        self.parser.SkippedEntityHandler = self._skipped
        self.parser.ExternalEntityRefHandler = self._external
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.records: list[Record] = []
        self.root = ""
        self._names = {_spelled(name): True for name in options.mapping.elements}
        self._most = options.limits.record_bytes
        self._fed = 0
        self._depth = 0
        self._line = 0
        self._cells: dict[str, Any] | None = None
        self._path: list[str] = []
        self._texts: list[list[str]] = []  # of each element that is open in the record
        self._leaf = False
        self._size = 0

    def _doctype(
        self, _name: str, _system: str | None, _public: str | None, internal: bool
    ) -> None:
        if internal:
            raise FeedError("dtd", "The file declares a document type of its own; that is refused.")

    def _entity(self, name: str, *_: object) -> None:
        raise FeedError("entity", f"The file declares the entity {name!r}; that is refused.")

    def _skipped(self, name: str, *_: object) -> None:
        raise FeedError(
            "broken_xml",
            f"Line {self.parser.CurrentLineNumber}: XML knows no entity &{name}; here.",
        )

    def _external(self, *_: object) -> int:
        raise FeedError("entity", "The file refers to another file; that is refused.")

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._depth += 1
        self.root = self.root or name
        self._grow(len(name))
        if self._depth > MOST_DEEP:
            raise FeedError("too_deep", f"More than {MOST_DEEP} elements are nested.")
        if self._cells is not None:
            self._path.append(_clark(name))
            self._texts.append([])
            self._leaf = True
        elif name in self._names:
            self._cells, self._size = {}, 0
            self._line = self.parser.CurrentLineNumber
            self.parser.CharacterDataHandler = self._characters

    def _characters(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)
        self._grow(len(text))

    def _grow(self, characters: int) -> None:
        self._size += characters
        if self._cells is not None and self._size > self._most:
            raise self._too_large(f"record in line {self._line}")

    def _too_large(self, what: str) -> FeedError:
        return FeedError("row_too_large", f"The {what} has more than {self._most:,} characters.")

    def parse(self, chunk: bytes) -> None:
        """Read on; nothing more means the end. Raises FeedError for what is not plain XML."""
        self._fed += len(chunk)
        try:
            self.parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            raise _broken(error, cut=not chunk) from error
        except (LookupError, ValueError) as error:
            raise FeedError(
                "encoding", "The encoding that the file declares is unknown."
            ) from error
        # A tag or comment that goes on is kept until it ends.
        if self._fed - self.parser.CurrentByteIndex > self._most:
            raise self._too_large(f"tag or comment after line {self.parser.CurrentLineNumber}")

    def _end(self, _name: str) -> None:
        self._depth -= 1
        if self._cells is None:
            return
        if not self._path:
            self.records.append(Record(self._line, self._cells))
            self._cells = None
            self.parser.CharacterDataHandler = None
            return
        text = "".join(self._texts.pop())
        if self._leaf or text.strip():
            mixed = Unusable("mixed", "There are elements in the middle of the text.")
            name = "/".join(self._path)
            self._grow(len(name))
            _add(self._cells, name, text if self._leaf else mixed)
        self._path.pop()
        self._leaf = False


def _add(cells: dict[str, Any], name: str, value: Any) -> None:
    if name not in cells:
        cells[name] = value
    elif isinstance(cells[name], list):
        cells[name].append(value)
    else:
        cells[name] = [cells[name], value]


@lru_cache(maxsize=4096)
def _clark(name: str) -> str:
    """Return `{namespace}name` for a name as the parser gives it."""
    namespace, _, local = name.rpartition(SEPARATOR)
    return f"{{{namespace}}}{local}" if namespace else local


def _spelled(name: str) -> str:
    """Return a name as the parser gives it."""
    return name[1:].replace("}", SEPARATOR) if name.startswith("{") else name


@register("xml")
def read_xml(file: BinaryIO, options: Options) -> Iterator[Record]:
    """Read the elements `mapping.elements`. Lines are those of the record's start."""
    stream, marked = opened(file, options.limits)
    handlers = _Handlers(options, marked.removesuffix("-sig") or options.encoding)
    found = ended = False
    while not ended:
        chunk = stream.read(CHUNK)
        ended = not chunk
        handlers.parse(chunk)
        found = found or bool(handlers.records)
        yield from handlers.records
        handlers.records.clear()
    if not found:
        wanted = " or ".join(f"<{name}>" for name in options.mapping.elements)
        root = _clark(handlers.root)
        raise FeedError(
            "no_records",
            f"The file is XML with the root <{root}>, but has no {wanted or 'record'} that "
            f"{options.mapping.name} reads.",
        )


def _broken(error: expat.ExpatError, *, cut: bool) -> FeedError:
    where = f"line {error.lineno}, column {error.offset + 1}"
    if cut:
        return FeedError("cut", f"The file is cut off: its XML ends in {where}.")
    words = expat.errors.messages[error.code]
    return FeedError("broken_xml", f"The file is not valid XML in {where}: {words}.")

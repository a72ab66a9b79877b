"""Bytes of a file, unpacked if they are gzip, within limits. The name of the file says nothing."""

from __future__ import annotations

import io
import re
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

from partner_feeds.reading.problems import FeedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer

    from partner_feeds.reading.options import Limits

CHUNK = 64 * 1024
HEAD = 64 * 1024  # bytes that tell a file from an empty one and from a web page
GZIP = b"\x1f\x8b"
GZIP_WINDOW = 16 + zlib.MAX_WBITS
# A small file may pack well by chance.
RATIO_FROM_BYTES = 1024**2
_HTML = re.compile(
    rb"\s*(?:<!--(?>.*?-->)\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class Unpacked(io.RawIOBase):
    """A file's unpacked bytes as a stream. Raises FeedError at a limit, or where gzip is broken."""

    def __init__(self, packed: BinaryIO, limits: Limits) -> None:
        super().__init__()
        self.read_bytes = 0
        self.unpacked_bytes = 0
        self._limits = limits
        self._packed = packed
        self._chunks = self._unpack()
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def head(self, size: int) -> bytes:
        """Return the first bytes without taking them; fewer only if there are no more."""
        head = bytearray()
        while len(head) < size and (chunk := next(self._chunks, b"")):
            head += chunk
        self._left = memoryview(bytes(head))
        return bytes(head[:size])

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer with unpacked bytes, and return how many; 0 at the end."""
        if not self._left:
            self._left = memoryview(next(self._chunks, b""))
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._left))
        target[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _read(self) -> bytes:
        chunk = self._packed.read(CHUNK)
        self.read_bytes += len(chunk)
        if self.read_bytes > self._limits.packed_bytes:
            raise FeedError(
                "too_large", f"The file has more than {self._limits.packed_bytes:,} bytes."
            )
        return chunk

    def _counted(self, chunk: bytes) -> bytes:
        self.unpacked_bytes += len(chunk)
        if self.unpacked_bytes > self._limits.unpacked_bytes:
            raise FeedError(
                "too_large",
                f"The file has more than {self._limits.unpacked_bytes:,} bytes when unpacked.",
            )
        most = max(self.read_bytes * self._limits.ratio, RATIO_FROM_BYTES)
        if self.unpacked_bytes > most:
            raise FeedError(
                "packed_too_well",
                f"The file unpacks to more than {self._limits.ratio} times its size.",
            )
        return chunk

    def _unpack(self) -> Iterator[bytes]:
        chunk = self._read()
        while 0 < len(chunk) < len(GZIP) and (more := self._read()):
            chunk += more
        if chunk.startswith(GZIP):
            yield from self._members(chunk)
            return
        while chunk:
            yield self._counted(chunk)
            chunk = self._read()

    def _after_zeros(self, chunk: bytes) -> bytes:
        """Return the next bytes after those that only fill up; none at the end of the file."""
        while not (rest := chunk.lstrip(b"\0")):
            chunk = self._read()
            if not chunk:
                break
        return rest

    def _members(self, chunk: bytes) -> Iterator[bytes]:
        """Unpack gzip, which may consist of several members, each of which must be whole."""
        member = zlib.decompressobj(GZIP_WINDOW)
        while chunk:
            try:
                part = member.decompress(chunk, CHUNK)
            except zlib.error as error:
                raise FeedError("broken_gzip", f"The gzip file is damaged: {error}.") from error
            if part:
                yield self._counted(part)
            if member.eof:
                chunk = self._after_zeros(member.unused_data)
                if not chunk:
                    return
                member = zlib.decompressobj(GZIP_WINDOW)
            else:
                chunk = member.unconsumed_tail or self._read()
        raise FeedError("cut", "The gzip file is cut off: its end is missing.")


def opened(packed: BinaryIO, limits: Limits) -> tuple[BinaryIO, str]:
    """Return a file's bytes, and the encoding that a byte order mark at their start names.

    Raises FeedError for an empty file and for a web page.
    """
    unpacked = Unpacked(packed, limits)
    head = unpacked.head(HEAD)
    mark = next((mark for mark in BOMS if head.startswith(mark)), b"")
    head = head.removeprefix(mark)
    if not head.strip():
        raise FeedError("empty", "The file is empty.")
    if _HTML.match(head[:2048]):
        raise FeedError("html", "The file is a web page, perhaps a log-in page, and not a feed.")
    return cast("BinaryIO", io.BufferedReader(unpacked, CHUNK)), BOMS.get(mark, "")

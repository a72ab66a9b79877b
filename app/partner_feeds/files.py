"""The file of an ingestion, kept in the database until it is read: so any worker can read it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, cast

from partner_feeds.models import FilePart, Ingestion

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PART_BYTES = 1024 * 1024


def store(ingestion: Ingestion, file: BinaryIO) -> None:
    """Store the whole file, part by part."""
    number = 0
    while content := file.read(PART_BYTES):
        FilePart.objects.create(ingestion=ingestion, number=number, content=content)
        number += 1
    Ingestion.objects.filter(pk=ingestion.pk).update(is_stored=True)
    ingestion.is_stored = True


def forget(ingestion: Ingestion) -> None:
    """Delete the file: it was read, or will not be."""
    FilePart.objects.filter(ingestion=ingestion).delete()


class _Parts(io.RawIOBase):
    def __init__(self, ingestion: Ingestion) -> None:
        super().__init__()
        self._parts = ingestion.parts.order_by("number")
        self._next = 0
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._left:
            found = self._parts.filter(number=self._next).values_list("content", flat=True)
            self._left = memoryview(bytes(next(iter(found), b"")))  # psycopg2 gives a memoryview
            self._next += 1
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._left))
        target[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def stored(ingestion: Ingestion) -> BinaryIO:
    """Return the stored file, to be read once from its start. One part is in memory at a time."""
    return cast("BinaryIO", io.BufferedReader(_Parts(ingestion), PART_BYTES))

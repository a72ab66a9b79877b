"""Files on their way: on disk while they arrive, then in the database, for any worker to read."""

from __future__ import annotations

import io
import tempfile
from contextlib import suppress
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, BinaryIO, cast

from django.conf import settings

from partner_feeds.models import FilePart, Ingestion

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PART_BYTES = 1024 * 1024
LEFT_AFTER_SECONDS = 60 * 60


def incoming() -> Path:
    """Return the folder of files that arrive; it exists, unless that is not allowed."""
    folder = Path(settings.FILE_UPLOAD_TEMP_DIR)
    with suppress(OSError):  # Django's check of the setting says so
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def temporary() -> BinaryIO:
    """Return an empty file on disk, which ends when it is closed, or with the process."""
    return cast("BinaryIO", tempfile.TemporaryFile(dir=incoming()))


def delete_left() -> None:
    """Delete what processes have left that were killed while they received a file."""
    before = time() - LEFT_AFTER_SECONDS
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()


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

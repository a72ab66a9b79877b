"""A backup on disk: a dump, encrypted if there is a key, and the manifest that makes it good.

The manifest is written last, so a dump without one is the remains of a backup that failed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

import pyrage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX, ENCRYPTED, PARTIAL = ".json", ".age", ".partial"
BLOCK = 1024 * 1024  # bytes
_BAD_KEY = (
    "BACKUP_KEY is not a key: `manage.py backup --new-key` makes one. Its first line makes backups "
    "and restores them, its second only makes them."
)


class BackupError(Exception):
    """A backup or restore cannot be done; nothing has been changed."""


class Reader(Protocol):
    """What a dump is read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; none at the end."""
        ...


@dataclass(frozen=True)
class Manifest:
    """What is known of a backup. `contents` is of the dump's own snapshot."""

    name: str
    taken_at: str  # just before the snapshot: what is committed later may not be in it
    finished_at: str
    seconds: float
    size: int  # bytes of the file
    sha256: str  # of the file, encrypted or not
    encrypted: bool
    engine: str
    server: str
    version: str
    revision: str
    ledgers: dict[str, Any]
    contents: dict[str, Any]

    def taken(self) -> datetime:
        """Return the time of the snapshot."""
        return datetime.fromisoformat(self.taken_at)

    @classmethod
    def of(cls, dump: Path) -> Self:
        """Read the manifest of a dump. Raises BackupError."""
        path = dump.with_name(dump.name + SUFFIX)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            manifest = cls(**{field.name: values[field.name] for field in fields(cls)})
            manifest.taken()
        except FileNotFoundError:
            raise BackupError(f"{path} is missing: {dump.name} is not a complete backup.") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackupError(f"{path} cannot be read: {error!r}.") from error
        return manifest

    def write(self, folder: Path) -> None:
        """Write the manifest next to its dump, whole or not at all."""
        path = folder / (self.name + SUFFIX)
        partial = folder / (path.name + PARTIAL)
        with private(partial) as file:
            file.write(json.dumps(asdict(self), indent=1).encode() + b"\n")
            _sync(file)
        partial.rename(path)
        _sync_folder(folder)


class Hashing:
    """A file that knows the size and the hash of what was written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.size, self.sha256 = file, 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write all of it."""
        self.file.write(data)
        self.sha256.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Pass to the file what it has buffered."""
        self.file.flush()


def private(path: Path) -> IO[bytes]:
    """Return a new file that only its owner can read."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b")


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Allow one backup at a time in a folder, and remove what those that failed have left."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_partials(folder)
        yield
    except BlockingIOError:
        raise BackupError(f"Another backup to {folder} is running.") from None
    finally:
        os.close(handle)


def remove_partials(folder: Path) -> None:
    """Remove unfinished files."""
    for path in folder.glob(f"*{PARTIAL}*"):
        path.unlink(missing_ok=True)


def store(source: Reader, folder: Path, name: str, key: str) -> Hashing:
    """Write a dump to the folder, and give it its name once it is whole and on disk."""
    partial = folder / (name + PARTIAL)
    with private(partial) as file:
        target = Hashing(file)
        if key:
            pyrage.encrypt_io(source, target, [recipient(key)])
        else:
            shutil.copyfileobj(source, target, BLOCK)
        _sync(file)
    partial.rename(folder / name)
    return target


def check(dump: Path, manifest: Manifest, key: str) -> None:
    """Check that the file is what was written, and that the key opens it. Raises BackupError."""
    try:
        with dump.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BackupError(f"{dump} cannot be read: {error.strerror}.") from error
    if found != manifest.sha256 or dump.name != manifest.name:
        raise BackupError(f"{dump} is damaged: it is not the file that the backup has written.")
    if manifest.encrypted:
        _open_with(dump, key)


class _OpenedError(Exception):
    """The key is the right one: the first block was decrypted."""


class _Opened:
    def write(self, _data: bytes) -> int:
        raise _OpenedError

    def flush(self) -> None:
        """Do nothing."""


def _open_with(dump: Path, key: str) -> None:
    if not key:
        raise BackupError(f"{dump.name} is encrypted: set BACKUP_KEY.")
    private_key = identity(key)
    try:
        with dump.open("rb") as file:
            pyrage.decrypt_io(file, _Opened(), [private_key])
    except _OpenedError:
        return
    except (pyrage.DecryptError, OSError) as error:
        raise BackupError(f"BACKUP_KEY does not open {dump.name}.") from error


def plain(dump: Path, manifest: Manifest, key: str, target: Any) -> None:
    """Write the decrypted dump to `target`, which must not keep it if this raises."""
    with dump.open("rb") as file:
        if manifest.encrypted:
            pyrage.decrypt_io(file, target, [identity(key)])
        else:
            shutil.copyfileobj(file, target, BLOCK)
    target.flush()


def new_key() -> tuple[str, str]:
    """Return a new key, and the half of it that can only make backups."""
    made = pyrage.x25519.Identity.generate()
    return str(made), str(made.to_public())


def recipient(key: str) -> Any:
    """Return what backups are encrypted for. Raises BackupError."""
    try:
        if key.startswith("age1"):
            return pyrage.x25519.Recipient.from_str(key)
        return identity(key).to_public()
    except pyrage.RecipientError as error:
        raise BackupError(_BAD_KEY) from error


def identity(key: str) -> Any:
    """Return what opens them. Raises BackupError."""
    if key.startswith("age1"):
        raise BackupError("BACKUP_KEY is the half that only makes backups: set AGE-SECRET-KEY-….")
    try:
        return pyrage.x25519.Identity.from_str(key)
    except pyrage.IdentityError as error:
        raise BackupError(_BAD_KEY) from error


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""E-mails in files, for development (ADR 8): only the shop's own user can read them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.mail.backends import filebased

if TYPE_CHECKING:
    from datetime import datetime

SUFFIX = ".log"  # as Django names them


class EmailBackend(filebased.EmailBackend):
    """Django's file backend, with files of mode 0600 in a folder of mode 0700."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        Path(self.file_path).chmod(0o700)

    def open(self) -> bool:
        """Open a new file unless one is open; return whether it was opened."""
        if self.stream is not None:
            return False
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.stream = os.fdopen(os.open(self._get_filename(), flags, 0o600), "ab")
        return True


def prune(before: datetime) -> int:
    """Delete files of e-mails last written before this; return how many."""
    count = 0
    for path in Path(settings.EMAIL_FILE_PATH).glob(f"*{SUFFIX}"):
        if path.is_file() and path.stat().st_mtime < before.timestamp():
            path.unlink(missing_ok=True)
            count += 1
    return count

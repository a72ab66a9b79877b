"""Password hashing that leaves threads to other requests."""

from __future__ import annotations

import threading

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from retail.throttling import ThrottledError, record_throttled

SCOPE = "password_hashing"
RETRY_SECONDS = 2

_free = threading.BoundedSemaphore(settings.PASSWORD_HASHING_THREADS)


class BoundedHasher(PBKDF2PasswordHasher):
    """Django's hasher, for few at a time: a hash takes a thread and a CPU for a good while.

    Who comes when all are in use is asked to come again, as waiting would hold a thread, too.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Return the hash. Raises ThrottledError if too many others are being computed."""
        if not _free.acquire(blocking=False):
            record_throttled(SCOPE, None)
            raise ThrottledError(SCOPE, RETRY_SECONDS)
        try:
            return super().encode(password, salt, iterations)
        finally:
            _free.release()

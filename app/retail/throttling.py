"""Rate limits per user, address or other key. Counts are kept in Django's cache."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING

from django.core.cache import cache
from django.template.defaultfilters import pluralize

from retail.observability import record_metric
from retail.observability.prometheus import catalogue
from retail.sockets import bounded

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE_SECONDS = 1  # a checkout waits for all its counts
CACHE_SIZE = 64 * 1024  # bytes of all answers
MINUTE = 60  # seconds

logger = logging.getLogger("retail.throttling")


class ThrottledError(Exception):
    """Too many requests; the next one is allowed in `retry_after` seconds."""

    title = ""  # of the page that says so, unless the usual one will do
    advice = ""  # what to do instead of waiting

    def __init__(self, scope: str, retry_after: int) -> None:
        super().__init__(f"{scope}: try again in {retry_after} s")
        self.scope = scope
        self.retry_after = retry_after

    @property
    def wait(self) -> str:
        """The waiting time in words, rounded up: "1 minute", "5 minutes"."""
        if self.retry_after < MINUTE:
            return f"{self.retry_after} second{pluralize(self.retry_after)}"
        minutes = ceil(self.retry_after / MINUTE)
        return f"{minutes} minute{pluralize(minutes)}"


def record_throttled(scope: str, user_id: int | None) -> None:
    """Count and log one throttled request."""
    catalogue.THROTTLED.inc(scope=scope)
    record_metric("throttled_requests", 1, {"scope": scope, "user_id": user_id})
    logger.info("event=request.throttled", extra={"scope": scope, "user_id": user_id})


def _count(key: str, seconds: int) -> int:
    """Increment the count of `key` and return it."""
    cache.add(key, 0, timeout=2 * seconds)
    return cache.incr(key)


def _ask_cache(ask: Callable[[], bool], *, otherwise: bool) -> bool:
    """Return what the cache says; `otherwise` without one, or with one that is too slow.

    The shop sells without limits rather than not at all.
    """
    try:
        with bounded(seconds=CACHE_SECONDS, size=CACHE_SIZE):
            return ask()
    except Exception:
        catalogue.TELEMETRY_ERRORS.inc(sink="metrics")
        logger.exception("event=throttle.cache_failed")
        return otherwise


def _is_over(keys: list[str], limit: int, seconds: int) -> bool:
    """Count a request for each key, up to the first beyond its limit; return whether one is."""
    return _ask_cache(lambda: any(_count(key, seconds) > limit for key in keys), otherwise=False)


def is_first(what: str, *, seconds: int) -> bool:
    """Return whether `what` happens for the first time in so many seconds."""
    return _ask_cache(lambda: cache.add(f"first:{what}", 1, timeout=seconds), otherwise=True)


def _window_keys(scope: str, keys: list[str], seconds: int) -> list[str]:
    window = int(time.time() // seconds)
    return [f"throttle:{scope}:{key}:{window}" for key in keys]


def is_within(scope: str, keys: list[str], *, limit: int, seconds: int) -> bool:
    """Count a request like `throttle`, but return whether it is allowed and record nothing."""
    return not _is_over(_window_keys(scope, keys, seconds), limit, seconds)


def give_back(scope: str, keys: list[str], *, seconds: int) -> None:
    """Take back one counted request for each key."""

    def ask() -> bool:
        for key in _window_keys(scope, keys, seconds):
            with suppress(ValueError):  # a new window has begun
                cache.decr(key)
        return True

    _ask_cache(ask, otherwise=False)


def throttle(scope: str, keys: list[str], *, limit: int, seconds: int, user_id: int | None) -> None:
    """Allow at most `limit` requests per window of `seconds` for each of `keys`.

    For the first key over its limit, raises ThrottledError with the seconds until the window ends.
    """
    now = time.time()
    if not is_within(scope, keys, limit=limit, seconds=seconds):
        record_throttled(scope, user_id)
        raise ThrottledError(scope, max(1, ceil((now // seconds + 1) * seconds - now)))

"""Counts what the proxy answers by itself, from its log: web cannot count what never reached it."""

from __future__ import annotations

import json
import logging
from functools import cache

from django.conf import settings
from django.urls import reverse

from retail.observability.logs.following import Follower
from retail.observability.prometheus.catalogue import (
    PROXY_ANSWERS,
    PROXY_PAGES,
    PROXY_STATUSES,
    TELEMETRY_ERRORS,
)

GONE = 499  # nginx's status of a visitor who did not wait for an answer

logger = logging.getLogger("retail.observability")
_views: dict[str, str] = {}
follower = Follower(settings.PROXY_LOG)


def count_posts(view: str, page: str) -> None:
    """Count POSTs of a view under a name of their own."""
    _views[view] = page
    PROXY_PAGES.add(page)


@cache
def _pages() -> dict[str, str]:
    """Return the pages by path as the proxy logs it, without the last slash."""
    return {reverse(view).rstrip("/"): page for view, page in _views.items()}


def count_answers() -> int:
    """Count the proxy's own answers since the last call. Return 1 if there may be more to read."""
    try:
        lines, more = follower.read()
    except OSError:
        TELEMETRY_ERRORS.inc(sink="proxy")
        raise
    unreadable = 0
    for line in lines:
        try:
            _count(line)
        except (KeyError, RecursionError, TypeError, ValueError):
            unreadable += 1
    if unreadable:
        TELEMETRY_ERRORS.inc(unreadable, sink="proxy")
        logger.warning("event=proxy_log.unreadable", extra={"lines": unreadable})
    return int(more)


def _count(line: bytes) -> None:
    """Count the answer of a line (log_format in nginx/nginx.conf), unless web has given it."""
    entry = json.loads(line)
    request = entry["extra"]
    status = f"{request['status'] // 100}xx"
    if entry["logger"] != "proxy.errors" or status not in PROXY_STATUSES:
        return
    if request["status"] != GONE:
        page = _pages().get(request["path"]) if request["method"] == "POST" else None
        PROXY_ANSWERS.inc(page=page or "other", status=status)

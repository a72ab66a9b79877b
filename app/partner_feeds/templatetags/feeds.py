"""Template filters of partner feeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import template

from retail.templatetags.durations import duration

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from partner_feeds.models import Partner

register = template.Library()
_MINUTE, _EXACTLY = 60, 10  # seconds
_UNITS = ((7 * 24 * 60, "week"), (24 * 60, "day"), (60, "hour"))


@register.filter
def thousands(number: float) -> str:
    """Return a number without decimals, with marks between thousands."""
    return f"{number:,.0f}"


@register.filter
def bytes_of(size: int) -> str:
    """Return a number of bytes in the unit that fits."""
    for unit, least in (("MB", 1024**2), ("kB", 1024)):
        if size >= least:
            return f"{size / least:,.1f} {unit}".replace(".0 ", " ")
    return f"{size} bytes"


@register.filter
def took(end: datetime, begin: datetime) -> str:
    """Return the time between two moments; below a minute in seconds."""
    return in_words(end - begin)


@register.filter
def in_words(length: timedelta) -> str:
    """Return a duration; below a minute in seconds."""
    seconds = max(length.total_seconds(), 0)
    if seconds >= _MINUTE:
        return duration(length)
    return f"{seconds:.1f} s" if seconds < _EXACTLY else f"{seconds:.0f} s"


@register.filter
def every(minutes: int) -> str:
    """Return an interval, such as `every 40 minutes` or `every day`."""
    for size, unit in _UNITS:
        if minutes % size == 0:
            count = minutes // size
            return f"every {unit}" if count == 1 else f"every {count} {unit}s"
    return f"every {minutes} minutes"


@register.filter
def arrives(partner: Partner, has_keys: bool) -> str:
    """Return how a partner's files arrive."""
    ways = []
    if partner.fetch_every_minutes:
        ways.append(f"fetched {every(partner.fetch_every_minutes)}")
    elif partner.address:
        ways.append("fetched on request")
    if has_keys:
        ways.append("sent by the partner")
    return ", ".join(ways) or "uploaded"

"""Template filters for durations and ages."""

from datetime import datetime, timedelta

from django import template

register = template.Library()

_UNITS = (("d", 24 * 60), ("h", 60), ("min", 1))


@register.filter
def duration(length: timedelta) -> str:
    """Return a duration in its two largest units, down to minutes: `1 h 12 min`."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 1:
        return "less than a minute"
    parts: list[tuple[int, str]] = []
    for unit, size in _UNITS:
        count, minutes = divmod(minutes, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count)


@register.filter
def ago(moment: datetime, now: datetime) -> str:
    """Return how long before `now` a moment was."""
    return f"{duration(now - moment)} ago"

"""The shop's settings in a process whose clock is an hour ahead.

Debian's faketime cannot be used: Python's sleeps fail under it.
"""

import time
from datetime import datetime, timedelta

from django.utils import timezone

from tests.running.settings import *  # noqa: F403

AHEAD = timedelta(hours=1)
_time, _now = time.time, timezone.now


def _later() -> datetime:
    return _now() + AHEAD


time.time = lambda: _time() + AHEAD.total_seconds()
timezone.now = _later

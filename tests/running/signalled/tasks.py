"""Jobs that are running when the worker is stopped."""

import time
from pathlib import Path

from retail.jobs import job


@job()
def nap(begun: str, seconds: float) -> None:
    """Create a file, and take so long after that."""
    Path(begun).touch()
    time.sleep(seconds)

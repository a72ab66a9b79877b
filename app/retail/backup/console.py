"""Keeps log lines out of data that a command writes to standard output."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


@contextmanager
def stdout_for_data() -> Iterator[IO[bytes]]:
    """Yield standard output; what others write there meanwhile goes to standard error."""
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(output), "wb") as data:
            yield data
    finally:
        os.dup2(output, 1)
        os.close(output)

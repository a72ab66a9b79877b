"""Jobs that are ended from outside, each in another way, and one that always fails."""

import os
import signal
import time

from retail.jobs import job


@job()
def hang() -> None:
    """Take longer than the queue allows: the queue raises an exception in the job."""
    time.sleep(3600)


@job()
def hang_deaf() -> None:
    """The same, without noticing that exception: the queue ends the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    time.sleep(3600)


@job()
def die() -> None:
    """End the process at once, as when the memory is used up."""
    os.kill(os.getpid(), signal.SIGKILL)


@job()
def live() -> None:
    """Succeed."""


@job(every_minutes=1, success_within_minutes=2)
def always_fail() -> None:
    """Fail."""
    raise LookupError

"""The processes of the job queue: django-q's sentinel with its workers, pusher and monitor.

Only the leader (`manage.py worker`) handles signals. The others block them, because a signal often
reaches the whole process group, and a process that dies of it takes jobs and locks with it. They
stop when the leader closes its end of a pipe, which also happens if it is killed.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from django_q.cluster import Sentinel, get_mp_context
from django_q.conf import Conf
from django_q.worker import worker

from retail import jobs

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

# All that end a process unless it handles them, such as SIGTERM and SIGUSR1. Not those that it may
# send itself for a fault of its own; Python ignores SIGPIPE and SIGXFSZ.
_UNSTOPPABLE = {signal.SIGKILL, signal.SIGSTOP}
_TIMERS = {signal.SIGALRM}  # by which django-q ends a job that takes too long
_HARMLESS = {
    *(signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGPIPE, signal.SIGXFSZ),
}
_FAULTS = {
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL),
    *(signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS),
}
STOP_SIGNALS = frozenset(signal.valid_signals() - _UNSTOPPABLE - _TIMERS - _HARMLESS - _FAULTS)
STOP_SECONDS = 10.0  # below the 12 of tools/supervisord.conf; then what still runs is killed
JOB_SECONDS = 9.0  # of these, for the jobs that run when the stop comes
LOOK_SECONDS = 0.5


class StopPipe:
    """A stop event for django-q: set when the leader has closed its end of the pipe, or died."""

    def __init__(self) -> None:
        self._reader, self._writer = Pipe(duplex=False)

    def set(self) -> None:
        """Close this process's end. Every child must do so, or the leader's death is not seen."""
        self._writer.close()

    def wait(self, timeout: float) -> bool:
        """Wait for the stop, at most for `timeout` seconds; return whether it has come."""
        return self._reader.poll(timeout)

    def is_set(self) -> bool:
        """Whether to stop."""
        return self.wait(0)


def _watch(parent: int, stop: StopPipe) -> None:
    """Tell the jobs of this process when to stop, and end it when its parent is gone."""
    while os.getppid() == parent:
        if stop.wait(LOOK_SECONDS):
            jobs.stopping.set()
            time.sleep(LOOK_SECONDS)
    os._exit(1)


def _run_watched(parent: int, stop: StopPipe, run: Callable[..., None], *args: object) -> None:
    threading.Thread(target=_watch, args=(parent, stop), name="watch", daemon=True).start()
    run(*args)


class StoppableSentinel(Sentinel):  # type: ignore[misc]  # it has no types
    """Starts children that end with it, and ends with them JOB_SECONDS after the stop at most."""

    def spawn_process(self, target: Callable[..., None], *args: Any) -> BaseProcess:
        """Start a process as django-q does, but watched, and killed instead of terminated."""
        process: Any = get_mp_context().Process(
            target=_run_watched,
            args=(os.getpid(), self.stop_event, target, *args),
            name=f"Process-{uuid.uuid4().hex}",
            daemon=Conf.DAEMONIZE_WORKERS if target is worker else True,
        )
        process.terminate = process.kill  # it blocks SIGTERM
        if target is worker:
            process.timer = args[2]
            self.pool.append(process)
        process.start()
        return process  # type: ignore[no-any-return]  # declared Any for its new attributes

    def stop(self) -> None:
        """Let the jobs end; kill those that take too long."""
        # No thread before: this process forks until here.
        too_long = threading.Timer(JOB_SECONDS, self._cut_off)
        too_long.daemon = True
        too_long.start()
        super().stop()

    def _cut_off(self) -> None:
        children: list[BaseProcess] = [*self.pool, self.monitor, self.pusher]
        for child in children:
            child.kill()
        for child in children:
            wait([child.sentinel], LOOK_SECONDS)
        os._exit(1)


class JobQueue:
    """The queue's processes, as seen by their leader."""

    def __init__(self, not_inherited: socket.socket) -> None:
        """Prepare them. `not_inherited` is closed there: a dead leader's port must be free."""
        self._not_inherited = not_inherited
        self._stop = StopPipe()
        self._process = get_mp_context().Process(target=self._run, name="queue")

    def start(self) -> None:
        """Start them. The caller must block STOP_SIGNALS, and must have no threads."""
        self._process.start()

    def _run(self) -> None:
        self._stop.set()
        self._not_inherited.close()
        StoppableSentinel(self._stop, threading.Event(), uuid.uuid4())

    def is_alive(self) -> bool:
        """Whether they run."""
        return bool(self._process.is_alive())

    def stop(self) -> None:
        """Let them finish their jobs and end."""
        self._stop.set()

    def join(self, timeout: float) -> bool:
        """Wait for their end, at most for `timeout` seconds; return whether they have ended."""
        self._process.join(max(0.0, timeout))
        return not self.is_alive()

    @property
    def finished(self) -> bool:
        """Whether they have ended without cutting off a job."""
        return bool(self._process.exitcode == 0)

    def kill(self) -> None:
        """End them at once."""
        self._process.kill()
        self._process.join()

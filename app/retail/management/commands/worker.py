"""Run the background worker: job queue, schedules, pollers, heartbeat and /metrics."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.utils import timezone

from retail import clocks, jobs
from retail.models import WorkerHeartbeat
from retail.observability.context import accepted_request_id
from retail.observability.prometheus import exposition
from retail.queue_processes import STOP_SECONDS, STOP_SIGNALS, JobQueue
from retail.startup import refuse_errors
from retail.web.headers import BARE_HEADERS
from retail.web.probes import readiness, worker_name

if TYPE_CHECKING:
    from collections.abc import Callable

BEAT_SECONDS = 5
REST_SECONDS = 0.5  # pause of a poller that found nothing to do
WAIT_SECONDS = 0.5  # until the main thread looks for a signal, and for killed jobs
SERVER_ERRORS = 500  # the first status of them

logger = logging.getLogger("retail.worker")


class MetricsHandler(BaseHTTPRequestHandler):
    """Serves the worker's /metrics and probes, with the same access rules as the web process."""

    timeout = 10
    default_request_version = "HTTP/1.0"  # of nonsense; the answer to HTTP/0.9 has no headers

    def do_GET(self) -> None:
        """Serve a GET or HEAD request."""
        status, body, content_type = HTTPStatus.OK, b"", "text/plain; charset=utf-8"
        if self.path == "/healthz":
            body = b'{"status": "ok"}'
            content_type = "application/json"
        elif self.path == "/readyz":
            status, body = self._readyz()
            content_type = "application/json"
        elif self.path != "/metrics":
            status, body = (
                HTTPStatus.NOT_FOUND,
                b"Not found: only /metrics, /healthz and /readyz exist here.\n",
            )
        elif exposition.may_read(
            self.headers.get("Authorization", ""), settings.METRICS_TOKEN, debug=settings.DEBUG
        ):
            body, content_type = exposition.render(self.headers.get("Accept", ""))
        else:
            status, body = HTTPStatus.UNAUTHORIZED, b"Send the METRICS_TOKEN as a bearer token.\n"
        self._answer(status, body, content_type)

    do_HEAD = do_GET  # noqa: N815 - named in the base class

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("X-Request-ID", accepted_request_id(None))
        for name, value in BARE_HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse an invalid request. The base class answers 5xx to some of a client's faults."""
        self.close_connection = True
        status = HTTPStatus(code) if code < SERVER_ERRORS else HTTPStatus.BAD_REQUEST
        self._answer(status, f"{status.phrase}\n".encode(), "text/plain; charset=utf-8")

    @staticmethod
    def _readyz() -> tuple[HTTPStatus, bytes]:
        """Report whether this worker can work and does: 503 unless every check is ok."""
        try:
            checks = readiness()
        finally:
            connections.close_all()  # each request has its own thread
        ready = set(checks.values()) == {"ok"}
        answer = {"status": "ready" if ready else "unavailable", "checks": checks}
        return (
            HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE,
            json.dumps(answer).encode(),
        )

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named in the base class
        """Drop the standard library's lines; the log is JSON."""


class MetricsServer(ThreadingHTTPServer):
    """Serves the worker's /metrics and probes."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what failed, unless the client has just gone away."""
        error = sys.exception()
        if not isinstance(error, OSError):
            logger.error("event=worker.request_failed", exc_info=error)


class Command(BaseCommand):
    help = __doc__

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.signal: int | None = None  # the first one received

    def handle(self, *args: object, **options: object) -> None:
        """Run until a signal comes. Exits with 1 if the queue's processes die by themselves."""
        address = (settings.WORKER_METRICS_HOST, settings.WORKER_METRICS_PORT)
        try:
            server = MetricsServer(address, MetricsHandler)
        except OSError as error:
            raise CommandError(
                f"Cannot listen on port {address[1]} ({error.strerror}): set WORKER_METRICS_PORT."
            ) from error
        refuse_errors()
        jobs.write_schedules()
        connections.close_all()  # child processes must not share a connection
        queue = JobQueue(server.socket)
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # for the children
        queue.start()
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        # Start threads only now: none may use the database while this process forks.
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        threads = [
            threading.Thread(target=self._beat_on, name="heartbeat", daemon=True),
            *(
                threading.Thread(target=self._poll, args=(call,), name=call.__name__, daemon=True)
                for call in jobs.pollers
            ),
        ]
        for thread in threads:
            thread.start()
        logger.info("event=worker.started", extra={"metrics_port": address[1]})
        while self.signal is None and not queue.join(WAIT_SECONDS):
            jobs.record_killed()
        self._stop(queue, threads)
        server.shutdown()
        sys.exit(1 if self.signal is None else 0)

    def _on_signal(self, number: int, _frame: object) -> None:
        """Only note the signal: a handler that waits for a lock may wait for itself."""
        self.signal = self.signal or number

    def _stop(self, queue: JobQueue, threads: list[threading.Thread]) -> None:
        """Let everything end within STOP_SECONDS; kill what does not."""
        ends_at = time.monotonic() + STOP_SECONDS
        last_resort = threading.Timer(STOP_SECONDS + 1, self._exit_now)
        last_resort.daemon = True
        last_resort.start()
        jobs.stopping.set()
        queue.stop()
        for thread in threads:
            thread.join(max(0.0, ends_at - time.monotonic()))
        if not queue.join(ends_at - time.monotonic()):
            queue.kill()
        finished = queue.finished and not any(thread.is_alive() for thread in threads)
        jobs.record_killed()
        logger.info(
            "event=worker.stopped",
            extra={"as_told": self.signal is not None, "finished": finished},
        )

    def _exit_now(self) -> None:
        """Exit although a thread still runs, such as a payment's: another worker finishes it."""
        logging.shutdown()
        os._exit(1 if self.signal is None else 0)

    def _beat_on(self) -> None:
        """Write heartbeats until the worker stops. A database failure does not stop it."""
        while not jobs.stopping.is_set():
            try:
                self._beat()
            except Exception:
                logger.exception("event=worker.beat_failed")
                connections.close_all()
            jobs.stopping.wait(BEAT_SECONDS)

    def _beat(self) -> None:
        now = timezone.now()
        WorkerHeartbeat.objects.update_or_create(worker=worker_name(), defaults={"seen_at": now})
        clocks.pull_back(now)

    def _poll(self, call: Callable[[], int]) -> None:
        """Run a poller in a loop until the worker stops; log and survive its failures."""
        while not jobs.stopping.is_set():
            try:
                processed = call()
            except Exception:
                logger.exception("event=worker.watch_failed", extra={"watch": call.__name__})
                connections.close_all()
                processed = 0
            if not processed:
                jobs.stopping.wait(REST_SECONDS)

"""Run the background worker: job queue, schedules, pollers, heartbeat and /metrics."""

from __future__ import annotations

import json
import logging
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
from django_q.cluster import Cluster

from retail import clocks, jobs
from retail.models import WorkerHeartbeat
from retail.observability.context import accepted_request_id
from retail.observability.prometheus import exposition
from retail.web.probes import readiness, worker_name

if TYPE_CHECKING:
    from collections.abc import Callable

BEAT_SECONDS = 5
REST_SECONDS = 0.5  # pause of a poller that found nothing to do
PATIENCE_SECONDS = 10  # time for a poller to finish when the worker stops

logger = logging.getLogger("retail.worker")


class MetricsHandler(BaseHTTPRequestHandler):
    """Serves the worker's /metrics and probes, with the same access rules as the web process."""

    timeout = 10

    def do_GET(self) -> None:
        """Serve one request."""
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
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        request_id = accepted_request_id(self.headers.get("X-Request-ID"))
        self.send_header("X-Request-ID", request_id)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

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


class Command(BaseCommand):
    help = __doc__

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.stopping = threading.Event()

    def handle(self, *args: object, **options: object) -> None:
        """Run until stopped by a signal. Exits with 1 if the cluster dies unexpectedly."""
        address = (settings.WORKER_METRICS_HOST, settings.WORKER_METRICS_PORT)
        try:
            server = ThreadingHTTPServer(address, MetricsHandler)
        except OSError as error:
            raise CommandError(
                f"Cannot listen on port {address[1]} ({error.strerror}): set WORKER_METRICS_PORT."
            ) from error
        jobs.write_schedules()
        connections.close_all()  # child processes must not share a connection
        cluster = Cluster()
        cluster.start()
        # Start threads only now: none may use the database while the cluster forks.
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        pollers = [
            threading.Thread(target=self._poll, args=(call,), name=call.__name__, daemon=True)
            for call in jobs.pollers
        ]
        for poller in pollers:
            poller.start()
        logger.info("event=worker.started", extra={"metrics_port": address[1]})
        while cluster.sentinel.is_alive():
            self._beat()
            jobs.record_killed()
            cluster.sentinel.join(BEAT_SECONDS)
        self.stopping.set()
        for poller in pollers:
            poller.join(PATIENCE_SECONDS)
        server.shutdown()
        on_signal = cluster.has_stopped
        logger.info("event=worker.stopped", extra={"as_told": bool(on_signal)})
        sys.exit(0 if on_signal else 1)

    def _beat(self) -> None:
        """Write a heartbeat. A database failure does not stop the worker."""
        try:
            WorkerHeartbeat.objects.update_or_create(
                worker=worker_name(), defaults={"seen_at": timezone.now()}
            )
            clocks.pull_back(timezone.now())
        except Exception:
            logger.exception("event=worker.beat_failed")
            connections.close_all()
            time.sleep(1)

    def _poll(self, call: Callable[[], int]) -> None:
        """Run a poller in a loop until the worker stops; log and survive its failures."""
        while not self.stopping.is_set():
            try:
                processed = call()
            except Exception:
                logger.exception("event=worker.watch_failed", extra={"watch": call.__name__})
                connections.close_all()
                processed = 0
            if not processed:
                self.stopping.wait(REST_SECONDS)

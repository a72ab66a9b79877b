"""Run the background worker: the job queue, its schedule, its pollers, a sign of life, /metrics."""

from __future__ import annotations

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

from retail import jobs
from retail.models import WorkerHeartbeat
from retail.observability.prometheus import exposition
from retail.web.probes import worker_name

if TYPE_CHECKING:
    from collections.abc import Callable

BEAT_SECONDS = 5
REST_SECONDS = 0.5  # a watch that found nothing to do looks again after this
PATIENCE_SECONDS = 10  # how long a watch may take to end what it is about when the worker stops

logger = logging.getLogger("retail.worker")


class MetricsHandler(BaseHTTPRequestHandler):
    """Answers /metrics and /healthz of the worker, under the rules of the web process."""

    timeout = 10

    def do_GET(self) -> None:
        """Answer one request."""
        status, body, content_type = HTTPStatus.OK, b"", "text/plain; charset=utf-8"
        if self.path == "/healthz":
            body = b'{"status": "ok"}'
            content_type = "application/json"
        elif self.path != "/metrics":
            status, body = HTTPStatus.NOT_FOUND, b"There is only /metrics and /healthz here.\n"
        elif exposition.may_read(
            self.headers.get("Authorization", ""), settings.METRICS_TOKEN, debug=settings.DEBUG
        ):
            try:
                body, content_type = exposition.render(self.headers.get("Accept", ""))
            finally:
                connections.close_all()  # each request has a thread of its own
        else:
            status, body = HTTPStatus.UNAUTHORIZED, b"Send the METRICS_TOKEN as a bearer token.\n"
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep the standard library's own lines out of the JSON log."""


class Command(BaseCommand):
    help = __doc__

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.stopping = threading.Event()

    def handle(self, *args: object, **options: object) -> None:
        """Run until told to stop; exit with 1 if the cluster dies by itself."""
        address = (settings.WORKER_METRICS_HOST, settings.WORKER_METRICS_PORT)
        try:
            server = ThreadingHTTPServer(address, MetricsHandler)
        except OSError as error:
            raise CommandError(
                f"Port {address[1]} is taken ({error.strerror}): set WORKER_METRICS_PORT."
            ) from error
        jobs.write_schedules()
        connections.close_all()  # a connection must not be shared with the children to come
        cluster = Cluster()
        cluster.start()
        # Only now: no thread may be asking the database while the cluster forks.
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
            cluster.sentinel.join(BEAT_SECONDS)
        self.stopping.set()
        for poller in pollers:
            poller.join(PATIENCE_SECONDS)
        server.shutdown()
        stopped_as_told = cluster.has_stopped
        logger.info("event=worker.stopped", extra={"as_told": bool(stopped_as_told)})
        sys.exit(0 if stopped_as_told else 1)

    def _beat(self) -> None:
        """Say that the worker is there; a database that is away is no reason to stop."""
        try:
            WorkerHeartbeat.objects.update_or_create(
                worker=worker_name(), defaults={"seen_at": timezone.now()}
            )
        except Exception:
            logger.exception("event=worker.beat_failed")
            connections.close_all()
            time.sleep(1)

    def _poll(self, call: Callable[[], int]) -> None:
        """Do at once what there is to do, until the worker stops; a failure is no reason to."""
        while not self.stopping.is_set():
            try:
                found = call()
            except Exception:
                logger.exception("event=worker.watch_failed", extra={"watch": call.__name__})
                connections.close_all()
                found = 0
            if not found:
                self.stopping.wait(REST_SECONDS)

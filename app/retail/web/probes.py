"""Endpoints for monitoring: /metrics, /healthz, /readyz."""

from __future__ import annotations

import socket
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from retail import jobs
from retail.health import readiness_checks
from retail.models import WorkerHeartbeat
from retail.observability.background import SharedRead
from retail.observability.prometheus import exposition
from retail.thresholds import THRESHOLDS
from retail.web.access import has_metrics_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http.response import HttpResponseBase

WAIT_SECONDS = 1.5  # /readyz waits this long for the database
WORKER_SILENT_AFTER = timedelta(seconds=THRESHOLDS.worker.silent_after_seconds)

_migrated = False


def worker_name() -> str:
    """Return the name of the worker on this host."""
    return socket.gethostname()


def metrics(request: HttpRequest) -> HttpResponse:
    """Serve a Prometheus scrape."""
    if not has_metrics_token(request):
        return HttpResponse(
            "Send the METRICS_TOKEN as a bearer token.\n",
            status=HTTPStatus.UNAUTHORIZED,
            content_type="text/plain; charset=utf-8",
            headers={"WWW-Authenticate": 'Bearer realm="metrics"'},
        )
    body, content_type = exposition.render(request.headers.get("Accept", ""))
    return HttpResponse(body, content_type=content_type)


def healthz(request: HttpRequest) -> HttpResponse:
    """Report that this process is alive."""
    return JsonResponse({"status": "ok"})


def _migrations_applied() -> bool:
    global _migrated  # noqa: PLW0603 - cached: the check is slow, and applied stays applied
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated


def worker_check() -> str:
    """Return "ok" if a worker sent a recent heartbeat, else the problem and what to do."""
    last = WorkerHeartbeat.objects.order_by("-seen_at").values_list("seen_at", flat=True).first()
    if last is None:
        return "never seen: start it with `manage.py worker`"
    silent = timezone.now() - last
    if silent < -WORKER_SILENT_AFTER:
        ahead = -silent.total_seconds()
        return f"clock differs: {ahead:.0f} s ahead of this process; synchronize the clocks"
    if silent > WORKER_SILENT_AFTER:
        return f"silent for {silent.total_seconds():.0f} s: is `manage.py worker` running?"
    return "ok"


def jobs_check() -> str:
    """Return "ok" if every periodic job succeeded recently, else those that did not."""
    late = ", ".join(jobs.standing_still(timezone.now()))
    return f"no recent success of {late}: see the worker's log" if late else "ok"


def database_checks() -> dict[str, str]:
    """Return the state of the database and of its migrations; "ok" if healthy."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    applied = _migrations_applied()
    return {
        "database": "ok",
        "migrations": "ok" if applied else "missing: run `manage.py migrate`",
    }


def _check_all() -> dict[str, str]:
    """Return the state of everything this process needs to sell; "ok" if healthy.

    Checks after a failed one are left out.
    """
    checks: dict[str, str] = {}
    try:
        checks |= database_checks()
        if checks["migrations"] == "ok":
            checks["worker"] = worker_check()
            checks["jobs"] = jobs_check()
            checks |= {name: check() for name, check in readiness_checks.items()}
    except Exception:  # noqa: BLE001 - the driver may raise anything
        checks["database"] = "unavailable"
    return checks


# A database that hangs must not hold the threads that answer requests.
_checking = SharedRead(_check_all, connections.close_all)


def readiness() -> dict[str, str]:
    """Return the state of everything this process needs to sell, within `WAIT_SECONDS`."""
    try:
        return _checking.result(WAIT_SECONDS)
    except TimeoutError:
        return {"database": f"no answer within {WAIT_SECONDS:g} s"}


def readyz(request: HttpRequest) -> HttpResponse:
    """Report whether this process can sell.

    Returns 503 if the database is unavailable, hangs or is not migrated. Without a worker, if jobs
    stand still, or if payments are refused, returns 200 with status "degraded": pages are served.
    """
    checks = readiness()
    able = checks["database"] == checks.get("migrations") == "ok"
    status = ("ready" if set(checks.values()) == {"ok"} else "degraded") if able else "unavailable"
    return JsonResponse(
        {"status": status, "checks": checks},
        status=HTTPStatus.OK if able else HTTPStatus.SERVICE_UNAVAILABLE,
    )


PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/metrics": metrics,
    "/healthz": healthz,
    "/readyz": readyz,
}


class ProbeMiddleware:
    """Serves the probes ahead of all other middleware that may refuse a request.

    Prometheus and health checks use host names that are not in ALLOWED_HOSTS, and their requests
    must not count as traffic.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Serve a probe, or pass the request on."""
        view = PROBES.get(request.path)
        if view is None:
            return self.get_response(request)
        if request.method not in {"GET", "HEAD"}:
            return HttpResponse(
                status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"}
            )
        return view(request)

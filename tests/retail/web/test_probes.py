"""/metrics, /healthz and /readyz: access, and responses of an unavailable shop."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import OperationalError
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from retail.health import readiness_checks
from retail.models import JobSuccess, WorkerHeartbeat
from retail.observability.background import SharedRead
from retail.web import probes
from tests.support import moved, periodic_jobs_succeeded

pytestmark = pytest.mark.django_db

ALL_OK = dict.fromkeys(("database", "migrations", "worker", "jobs", "payments"), "ok")

PROBES = ["/metrics", "/healthz", "/readyz"]
STRANGER = "10.1.2.3:8000"


@pytest.fixture(autouse=True)
def _not_asked_yet(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    monkeypatch.setattr(probes, "_migrated", False)
    periodic_jobs_succeeded(timezone.now())


def ask(client: Client, authorization: str | None = None) -> int:
    headers = {"Authorization": authorization} if authorization is not None else None
    response = client.get("/metrics", headers=headers)
    if response.status_code == 401:
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="metrics"'
        assert b"retail_" not in response.content
    else:
        assert b"retail_orders_total" in response.content
    return response.status_code


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        ("Bearer righ", 401),
        ("Bearer right and more", 401),
        ("Basic right", 401),
        ("right", 401),
        ("Bearer ré", 401),
        ("Bearer right", 200),
        ("bearer right", 200),
        ("Bearer  right ", 200),
    ],
)
def test_with_a_token_metrics_require_it(
    client: Client, settings: Settings, authorization: str | None, status: int, debug: bool
) -> None:
    settings.METRICS_TOKEN = "right"
    settings.DEBUG = debug
    assert ask(client, authorization) == status


def test_without_a_token_metrics_are_open_in_development_only(
    client: Client, settings: Settings
) -> None:
    settings.METRICS_TOKEN = ""
    settings.DEBUG = True
    assert ask(client) == 200
    settings.DEBUG = False
    assert ask(client) == 401
    assert ask(client, "Bearer ") == 401


def test_probes_accept_any_host_and_are_not_counted(client: Client) -> None:
    WorkerHeartbeat.objects.create(worker="here", seen_at=timezone.now())
    with moved() as changes:
        for path in PROBES:
            response = client.get(path, headers={"Host": STRANGER})
            assert response.status_code == (401 if path == "/metrics" else 200)
            assert client.head(path, headers={"Host": STRANGER}).status_code < 500
    assert changes == {}
    assert client.get("/products/", headers={"Host": STRANGER}).status_code == 400


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("method", ["post", "put", "delete", "options"])
def test_probes_allow_only_get_and_head(client: Client, path: str, method: str) -> None:
    response = getattr(client, method)(path)
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"


def test_healthz_does_not_use_the_database(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def ready(client: Client) -> tuple[int, dict[str, object]]:
    response = client.get("/readyz")
    return response.status_code, response.json()


def test_a_shop_with_database_and_worker_is_ready(client: Client) -> None:
    WorkerHeartbeat.objects.create(worker="here", seen_at=timezone.now())
    checks = ALL_OK
    assert ready(client) == (200, {"status": "ready", "checks": checks})


def test_a_shop_whose_worker_never_started_is_degraded(client: Client) -> None:
    worker = "never seen: start it with `manage.py worker`"
    checks = {**ALL_OK, "worker": worker}
    assert ready(client) == (200, {"status": "degraded", "checks": checks})


def test_a_worker_is_missing_without_a_recent_heartbeat(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    WorkerHeartbeat.objects.create(worker="old", seen_at=now - timedelta(days=1))
    heartbeat = WorkerHeartbeat.objects.create(worker="here", seen_at=now - timedelta(seconds=30))
    assert ready(client)[1]["status"] == "ready"
    heartbeat.seen_at = now - timedelta(seconds=31)
    heartbeat.save()
    worker = "silent for 31 s: is `manage.py worker` running?"
    checks = {**ALL_OK, "worker": worker}
    assert ready(client) == (200, {"status": "degraded", "checks": checks})


def test_a_heartbeat_from_the_future_shows_a_wrong_clock(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    heartbeat = WorkerHeartbeat.objects.create(worker="here", seen_at=now + timedelta(seconds=30))
    assert ready(client)[1]["status"] == "ready"
    heartbeat.seen_at = now + timedelta(seconds=31)
    heartbeat.save()
    worker = "clock differs: 31 s ahead of this process; synchronize the clocks"
    checks = {**ALL_OK, "worker": worker}
    assert ready(client) == (200, {"status": "degraded", "checks": checks})


def test_a_shop_whose_jobs_stand_still_is_degraded(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    WorkerHeartbeat.objects.create(worker="here", seen_at=now)
    JobSuccess.objects.filter(task="run_audit").update(at=now - timedelta(minutes=10))
    assert ready(client)[1]["status"] == "ready"
    late = timedelta(minutes=10, seconds=1)
    JobSuccess.objects.filter(task__in=["run_audit", "settle_payments"]).update(at=now - late)
    jobs = "no recent success of run_audit, settle_payments: see the worker's log"
    checks = {**ALL_OK, "jobs": jobs}
    assert ready(client) == (200, {"status": "degraded", "checks": checks})


def test_a_shop_with_an_unapplied_migration_is_unavailable(client: Client) -> None:
    [newest] = MigrationLoader(connection).graph.leaf_nodes("retail")
    MigrationRecorder(connection).record_unapplied(*newest)
    checks = {"database": "ok", "migrations": "missing: run `manage.py migrate`"}
    assert ready(client) == (503, {"status": "unavailable", "checks": checks})
    MigrationRecorder(connection).record_applied(*newest)
    assert ready(client)[0] == 200


def test_migrations_are_checked_only_until_they_are_applied(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ready(client)[0] == 200
    monkeypatch.delattr(probes, "MigrationExecutor")
    assert ready(client)[0] == 200


def test_a_shop_without_its_database_is_unavailable(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def cursor(self) -> object:
            raise OperationalError("connection refused to db as retail_user")

    monkeypatch.setattr(probes, "connection", Away())
    answer = {"status": "unavailable", "checks": {"database": "unavailable"}}
    assert ready(client) == (503, answer)


def test_a_shop_whose_database_hangs_is_unavailable_and_says_so(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang() -> dict[str, str]:
        hanging.wait()
        return {}

    hanging = threading.Event()
    monkeypatch.setattr(probes, "_checking", SharedRead(hang))
    monkeypatch.setattr(probes, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(SharedRead, "use_thread", True)
    answer = {"status": "unavailable", "checks": {"database": "no answer within 0.01 s"}}
    assert ready(client) == (503, answer)
    hanging.set()


def test_a_shop_whose_checkouts_the_breaker_refuses_is_degraded(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    WorkerHeartbeat.objects.create(worker="here", seen_at=timezone.now())
    monkeypatch.setitem(readiness_checks, "payments", lambda: "refused: for a test")
    status, body = ready(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"] == {
        **dict.fromkeys(("database", "migrations", "worker", "jobs"), "ok"),
        "payments": "refused: for a test",
    }

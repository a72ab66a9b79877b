"""Shared fixtures: strict telemetry and a scripted payment gateway."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client
    from pytest_django import Settings

    from tests.support import ScriptedGateway

pytest_plugins = ["tests.left_out"]
collect_ignore = ["stack"]  # `make stack-test`, a program of its own

# A busy machine makes an example slow, not wrong. Always new examples, whatever CI=… suggests.
hypothesis.settings.register_profile(
    "tests",
    deadline=None,
    derandomize=False,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tests")
hypothesis.settings.register_profile(
    "quick", hypothesis.settings.get_profile("tests"), max_examples=20
)


# What starts processes or browsers, or takes seconds: `make quick` leaves it out, and `make test`
# begins with it, since what takes longest must not come last. By measured durations.
SLOW = (
    *("blind", "browser", "tools", "fuzz", "running", "faults", "postgres", "security"),
    *("grafana/test_painted.py", "contracts/test_thresholds.py", "orders/test_audit_books.py"),
    *("retail/history/test_read.py", "contracts/test_links.py", "contracts/test_names.py"),
    *("quality/test_catalogue.py", "config/test_settings.py", "config/test_env_example.py"),
    *("config/test_server.py", "retail/test_admin.py", "retail/test_admin_lists.py"),
    *("retail/web/test_redirects.py", "retail/web/test_probes.py", "retail/web/test_live.py"),
    *("retail/web/test_headers.py",),
    *("retail/history/test_rollups.py", "retail/history/test_late_rows.py"),
    *("retail/history/test_pruning.py", "retail/observability/test_slots.py"),
    *("retail/observability/test_log_writer_processes.py",),
    *("retail/observability/test_recording_processes.py",),
    *("retail/observability/test_broken_files.py",),
    *("retail/observability/test_logs_file.py", "retail/observability/test_logs_console.py"),
    *("orders/test_races.py", "orders/test_history.py", "orders/test_checks.py"),
    *("orders/test_audit_gateway.py", "orders/test_audit.py", "orders/test_admin.py"),
    *("orders/test_recovery.py", "payments/test_breaker_machine.py", "payments/test_admin.py"),
    *("payments/test_gateway_client.py", "payments/test_selectors.py", "config/test_deployment.py"),
    *("payments/test_provider.py", "config/test_demo.py", "config/test_going_live.py"),
    *("retail/mail", "config/test_merging_forms.py", "orders/test_never_sent.py"),
    *("orders/test_batches.py", "orders/test_durability.py"),
    *("products/test_admin.py", "products/test_admin_lists.py"),
    *("products/test_admin_concurrency.py", "gateway_simulator"),
    *("dashboards/test_numbers.py", "dashboards/test_dashboard.py", "dashboards/test_health.py"),
    *("dashboards/test_outage.py", "quality/test_values.py", "quality/test_verdicts.py"),
    *("quality/test_pages.py", "oncall/test_pages.py", "contracts/test_one_answer.py"),
    *("alerts/test_rules.py", "alerts/test_mutants.py", "alerts/test_alertmanager.py"),
    *("alerts/test_inhibition.py", "alerts/test_probes.py"),
    *("returns/test_amounts.py", "returns/test_machine.py", "returns/test_shoppers.py"),
    *("returns/test_audit_gateway.py", "returns/test_buyer_pages.py"),
    *("returns/test_desk_refunds.py", "returns/test_desk_returns.py", "returns/test_emails.py"),
    *("partner_feeds/test_memory.py", "partner_feeds/test_reading_properties.py"),
    *("accounts/test_roles.py", "config/test_roles.py", "config/test_database_tls.py"),
    *("products/test_migration.py", "orders/test_migration.py", "products/test_search.py"),
    *("accounts/test_guessing.py", "accounts/test_addresses.py", "accounts/test_factor_gate.py"),
    *("accounts/test_passkey_pages.py", "accounts/test_admin.py"),
    "test_conftest_left_out.py",
)
KEPT_TABLES = {"django_content_type", "auth_permission"}
SLOW_PATHS = [Path(__file__).parent / place for place in SLOW]


def _rank(item: pytest.Item) -> int:
    """Return the place of a test's file or folder in SLOW; what is not there comes last."""
    around = {item.path, *item.path.parents}
    return next((n for n, path in enumerate(SLOW_PATHS) if path in around), len(SLOW))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what `make quick` leaves out."""
    return True if config.option.markexpr == "not slow" and collection_path in SLOW_PATHS else None


@pytest.hookimpl(tryfirst=True)  # before pytest looks at the markers for its -m option
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)
    for item in items:
        if _rank(item) < len(SLOW):
            item.add_marker("slow")


def pytest_configure() -> None:
    from retail.observability.logs.sinks import SharedFile  # noqa: PLC0415 - tools need no shop
    from retail.observability.logs.writer import LineWriter  # noqa: PLC0415

    # Tests do not write to the log file, and write each line at once.
    for writer in [handler for handler in logging.root.handlers if isinstance(handler, LineWriter)]:
        writer.sinks = [sink for sink in writer.sinks if not isinstance(sink, SharedFile)]
        writer.flush_seconds = 0


@pytest.fixture(scope="session", autouse=True)
def _quick_flush() -> Iterator[None]:
    """Empty the tables after a test with `transaction=True`, but for what migrations put there.

    Django empties all and makes content types and permissions anew, which takes most of such a
    test's time.
    """
    from django.core.management.commands import flush  # noqa: PLC0415 - tools need no Django

    def sql_flush(
        style: Any, connection: Any, *, reset_sequences: bool, allow_cascade: bool
    ) -> list[str]:
        tables = connection.introspection.django_table_names(
            only_existing=True, include_views=False
        )
        emptied = [name for name in tables if name not in KEPT_TABLES]
        statements: list[str] = connection.ops.sql_flush(
            style, emptied, reset_sequences=reset_sequences, allow_cascade=allow_cascade
        )
        return statements

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(flush, "sql_flush", sql_flush)
        patched.setattr(flush, "emit_post_migrate_signal", lambda *_, **__: None)
        yield


@pytest.fixture(autouse=True)
def _strict_telemetry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail tests on telemetry errors, and keep metric rows until a test flushes them."""
    from django.contrib.auth.hashers import get_hashers  # noqa: PLC0415 - tools need no Django
    from django.core.cache import cache  # noqa: PLC0415

    from retail.observability.background import SharedRead  # noqa: PLC0415
    from retail.observability.prometheus import (  # noqa: PLC0415
        catalogue,
        exposition,
        instruments,
    )
    from retail.observability.rows import recorder  # noqa: PLC0415

    # Production's password hashing would take most of the tests' time.
    hashers = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    monkeypatch.setattr("django.conf.settings.PASSWORD_HASHERS", hashers)
    get_hashers.cache_clear()  # type: ignore[attr-defined]
    monkeypatch.setattr(instruments.telemetry, "strict", True)
    monkeypatch.setattr(catalogue.TELEMETRY_ERRORS, "last_at", None)
    monkeypatch.setattr(recorder.recorder, "use_thread", False)
    # Another thread would not see what the test has not committed.
    monkeypatch.setattr(SharedRead, "use_thread", False)
    recorder.recorder.after_fork()  # start without pending rows
    exposition.database_gauges.forget()
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def scripted_gateway(monkeypatch: pytest.MonkeyPatch) -> ScriptedGateway:
    """Replace the gateway's HTTP client with one that returns scripted answers."""
    from payments import gateway, services  # noqa: PLC0415 - Django comes first
    from tests.support import ScriptedGateway  # noqa: PLC0415

    scripted = ScriptedGateway()
    monkeypatch.setattr(gateway, "charge", scripted.charge)
    monkeypatch.setattr(gateway, "cancel", scripted.cancel)
    monkeypatch.setattr(services, "BACKOFF_SECONDS", 0)
    return scripted


@pytest.fixture
def trusted_proxy(settings: Settings) -> None:
    """Let requests come from a proxy that may name the client and the request id."""
    settings.TRUSTED_PROXIES = 1


@pytest.fixture
def staff(client: Client) -> Client:
    """Return a client logged in as staff without permissions."""
    from django.contrib.auth.models import User  # noqa: PLC0415 - Django comes first

    from tests.support import make_buyer  # noqa: PLC0415 - the same

    user = make_buyer("staff")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.force_login(user)
    return client


@pytest.fixture
def migrated_afterwards(transactional_db: None) -> Iterator[None]:
    """Migrate to the latest state after a test that migrates to another one."""
    from django.db import connection  # noqa: PLC0415 - tools need no Django
    from django.db.migrations.executor import MigrationExecutor  # noqa: PLC0415 - the same

    from tests.support import migrate  # noqa: PLC0415 - the same

    yield
    migrate(*MigrationExecutor(connection).loader.graph.leaf_nodes())

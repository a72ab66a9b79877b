"""Renders everything that shows thresholds, with changed thresholds.

    python -m tests.contracts.rendered FOLDER < jobs.json

writes FOLDER/texts.json. A job has thresholds (a parsed thresholds.toml) and places; its result is
the lines of each place. Modules read thresholds on import, so each job has its own process, forked
before any of them is imported.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import sys
import traceback
import uuid
from datetime import UTC, datetime, timedelta
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.test import Client

NOW = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
# Imported once for all jobs; none of these reads thresholds.
SHARED = (
    "django.contrib.staticfiles.storage", "django.core.handlers.wsgi", "django.db.models",
    "django.db.backends.sqlite3.base", "django.db.migrations.executor", "django.forms",
    "django.template.defaulttags", "django.test", "markdown_it", "orjson", "prometheus_client",
    "psutil", "pybreaker", "redis", "requests", "whitenoise.middleware", "yaml",
)  # fmt: skip
# Visible texts of a dashboard's JSON, and its limits; the rest are ids, sizes and positions.
SEEN = {"color", "description", "expr", "for", "legendFormat", "noValue", "summary", "text",
        "title", "titleFormat"}  # fmt: skip
LIMITS = {"value", "params", "axisSoftMax", "axisSoftMin"}


class Job(NamedTuple):
    """Thresholds, and the places to render with them."""

    thresholds: dict[str, Any]
    places: list[str]


def _rules() -> Iterator[str]:
    from alerts.build import built  # noqa: PLC0415 - after the thresholds are set

    for text in built().values():
        yield from text.splitlines()


def _grafana() -> Iterator[str]:
    from grafana.build import DASHBOARDS  # noqa: PLC0415 - the same
    from grafana.rules import file  # noqa: PLC0415 - the same

    yield from _leaves([*DASHBOARDS.values(), file()])


def _leaves(node: object, key: str = "") -> Iterator[str]:
    """Yield the texts and limits of a dashboard."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value, key)
    elif (key in SEEN and isinstance(node, str)) or (key in LIMITS and node is not None):
        yield f"{key}: {node}"


def _document(module: str) -> Callable[[], Iterator[str]]:
    def lines() -> Iterator[str]:
        yield from import_module(module).document().splitlines()

    return lines


def _page(path: str) -> Callable[[], Iterator[str]]:
    def lines() -> Iterator[str]:
        response = _staff().get(path)
        assert response.status_code == 200, (path, response.status_code)
        text = re.sub(r"<script nonce.*?</script>", "", response.content.decode(), flags=re.DOTALL)
        for line in re.sub(r"<[^>]+>|(?<=,)(?=\")", "\n", text).splitlines():
            if line.strip():
                yield html.unescape(line.strip())

    return lines


def _gauges() -> Iterator[str]:
    """Yield the samples of database gauges and the help texts of all metrics."""
    from retail.observability.prometheus import catalogue, exposition  # noqa: PLC0415 - the same
    from retail.observability.prometheus.instruments import DatabaseGauge  # noqa: PLC0415 - the same

    read = {entry.name for entry in catalogue.entries() if isinstance(entry, DatabaseGauge)}
    for line in exposition.render("")[0].decode().splitlines():
        if line.startswith("# HELP retail_") or re.split(r"[{ ]", line)[0] in read:
            yield line


def _audit() -> Iterator[str]:
    from retail.audit.runner import audit  # noqa: PLC0415 - the same

    yield from (f"{row.invariant}: {row.subjects}" for row in audit(["pending_within_deadline"]))


def _staff() -> Client:
    from django.contrib.auth.models import User  # noqa: PLC0415 - the same
    from django.test import Client  # noqa: PLC0415 - the same

    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get())
    return client


def _feeds() -> Iterator[str]:
    from partner_feeds.gate import Effect, findings  # noqa: PLC0415 - the same
    from partner_feeds.models import Ingestion, Partner  # noqa: PLC0415 - the same

    for known in range(8, 20):
        effect = Effect(staged=known, known=known, repriced=known, jumped=1, sold_out=known)
        yield from findings(Ingestion(partner=Partner(), rejected=known), effect, 10 * known)


OUTSIDE: dict[str, Callable[[], Iterator[str]]] = {"rules": _rules, "grafana": _grafana}
INSIDE: dict[str, Callable[[], Iterator[str]]] = {
    "metrics.md": _document("retail.management.commands.document_metrics"),
    "QS-Catalog.md": _document("quality.management.commands.document_scenarios"),
    "dashboard": _page("/metrics/dashboard/"),
    "api": _page("/metrics/api/?days=1"),
    "alerts": _page("/metrics/alerts/"),
    "scenarios": _page("/metrics/quality-scenarios/"),
    "readyz": _page("/readyz"),
    "gauges": _gauges,
    "audit": _audit,
    "feeds": _feeds,
}  # what needs Django and the database
PLACES = OUTSIDE | INSIDE


def _set_up(database: Path) -> None:
    """Start Django with a fixed time, database and disk."""
    folder = database.parent
    os.environ |= {
        "DEBUG": "True",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"sqlite:///{database}",
        "VAR_DIR": str(folder),
        "LOG_DIR": str(folder),
        "METRIC_FILES_DIR": str(folder / "metrics"),
        "LOG_CONSOLE_LEVEL": "ERROR",
    }
    import django  # noqa: PLC0415 - only some jobs need it
    from django.utils import timezone  # noqa: PLC0415 - the same

    timezone.now = lambda: NOW
    shutil.disk_usage = lambda _: shutil._ntuple_diskusage(100, 82, 18)  # type: ignore[assignment]
    django.setup()


def _ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def seed(database: Path) -> None:
    """Create data whose times and counts lie between each threshold and its changed value."""
    _set_up(database)
    from django.core.management import call_command  # noqa: PLC0415 - after Django's start
    from django.db import connection  # noqa: PLC0415 - the same

    call_command("migrate", verbosity=0)
    _seed_orders()
    _seed_monitoring()
    connection.close()  # writes SQLite's write-ahead log into the file


def _seed_orders() -> None:
    from django.contrib.auth.models import User  # noqa: PLC0415 - after Django's start

    from orders.models import Payment, Sale  # noqa: PLC0415 - the same
    from retail.models import Metric  # noqa: PLC0415 - the same

    user = User.objects.create(username="staff", is_staff=True)
    user.set_unusable_password()
    user.save()
    at = _ago(20)
    for number in range(25):
        unknown = number == 0
        sale = Sale.objects.create(
            user=user, status="PENDING" if unknown else "CONFIRMED", total="10.00", currency="EUR",
            idempotency_key=uuid.UUID(int=number), reference=f"VT-{number}", created_at=at,
            finished_at=None if unknown else at,
        )  # fmt: skip
        Payment.objects.create(
            sale=sale, token="tok", key=f"key-{number}", amount="10.00", currency="EUR",
            status="UNKNOWN" if unknown else "COMPLETED", created_at=at, due_at=at,
            settled_at=None if unknown else at,
        )  # fmt: skip
        if not unknown:
            done = {"order_ref": sale.reference}
            Metric.objects.create(
                metric_type="payment_success_rate", value=100, metadata=done, timestamp=at
            )
    counts = {"count": 24, "errors": 0, "client_errors": 0}
    Metric.objects.create(metric_type="error_rate", value=0, metadata=counts, timestamp=at)


def _seed_monitoring() -> None:
    from django_q.models import OrmQ  # noqa: PLC0415 - after Django's start

    from oncall.models import AlertFeed  # noqa: PLC0415 - the same
    from quality.models import VerdictInterval  # noqa: PLC0415 - the same
    from retail.audit.declare import declared  # noqa: PLC0415 - the same
    from retail.models import AuditCheck, Email, RollupMark, WorkerHeartbeat  # noqa: PLC0415 - the same

    WorkerHeartbeat.objects.create(worker="worker", seen_at=_ago(2))
    RollupMark.objects.create(until=_ago(30))
    AlertFeed.objects.create(pk=1, heard_at=_ago(20), heartbeat_at=_ago(20))
    VerdictInterval.objects.create(
        scenario="A1", verdict="PASS", since=_ago(120), until=_ago(20).replace(second=0)
    )
    for name in declared:
        AuditCheck.objects.create(invariant=name, checked_at=_ago(20), full_checked_at=_ago(20))
    OrmQ.objects.create(key="jobs", payload="", lock=_ago(7))
    Email.objects.create(kind="note", about="one", created_at=_ago(27))


def render(folder: Path, job: Job) -> dict[str, list[str]]:
    """Return the lines of a job's places."""
    from retail import thresholds  # noqa: PLC0415 - before anything that reads them

    thresholds.THRESHOLDS = thresholds.checked(job.thresholds)
    if INSIDE.keys() & job.places:
        own = folder / uuid.uuid4().hex
        own.mkdir()
        _set_up(Path(shutil.copy(folder / "seeded.sqlite3", own)))
    return {place: list(PLACES[place]()) for place in job.places}


def tried(folder: Path, job: Job) -> dict[str, list[str]]:
    """Render a job. Raises RuntimeError for what goes wrong, since not every error can be sent."""
    try:
        return render(folder, job)
    except Exception:  # noqa: BLE001 - all of it is in the text
        raise RuntimeError(traceback.format_exc()) from None


def main() -> None:
    """Render all jobs, each in its own process."""
    folder, jobs = Path(sys.argv[1]), [Job(*job) for job in json.load(sys.stdin)]
    for module in SHARED:
        import_module(module)
    forked = get_context("fork")
    with forked.Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        pool.apply(seed, [folder / "seeded.sqlite3"])
        texts = pool.starmap(tried, [(folder, job) for job in jobs], chunksize=1)
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")


if __name__ == "__main__":
    main()

"""How the parts of the shop are, each looked at by itself: one that fails hides no other."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.db import connection
from django.urls import reverse

from payments.breaker import NAME as BREAKER
from payments.models import CircuitBreaker
from retail import jobs
from retail.models import AuditCheck
from retail.observability.prometheus import catalogue
from retail.templatetags.durations import ago, span
from retail.thresholds import THRESHOLDS, in_words
from retail.web.probes import readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from oncall.selectors import AlertsNow

GATEWAY_SILENT_AFTER = timedelta(seconds=THRESHOLDS.gateway.silent_after_seconds)
WORKER_SEEN_WITHIN = in_words(THRESHOLDS.worker.silent_after_seconds)
FROM_LEDGER = "charge_has_payment"  # an invariant that asks the gateway

logger = logging.getLogger("retail.dashboards")


class Found(NamedTuple):
    """How a part is: `good`, `warn`, `bad`, or `calm` where nobody knows and nothing is wrong."""

    state: str
    word: str
    detail: str
    link: str = ""


@dataclass(frozen=True)
class Check:
    """A part of the shop, and how it is."""

    name: str
    found: Found


def _row() -> CircuitBreaker | None:
    return CircuitBreaker.objects.filter(name=BREAKER).first()


def _breaker(row: CircuitBreaker | None, now: datetime) -> Found:
    link = reverse("admin:payments_circuitbreaker_changelist")
    if row is None:
        return Found("calm", "closed", "Never asked: nobody has paid yet.", link)
    state = row.state_now
    word = CircuitBreaker.State(state).label.lower()
    detail = "Payments go to the gateway."
    if state != CircuitBreaker.State.CLOSED:
        since = f" {ago(row.opened_at, now)}" if row.opened_at else ""
        detail = f"Opened{since}: checkouts are refused at once, carts are kept."
    if state == CircuitBreaker.State.HALF_OPEN:
        detail = "One payment at a time tries whether the gateway is back."
    if row.is_forced and row.forced_until:
        detail = f"Forced by hand for {span(row.forced_until - now)} more: {row.forced_reason}"
        return Found("warn", f"{word}, forced", detail, link)
    states = {CircuitBreaker.State.CLOSED: "good", CircuitBreaker.State.OPEN: "bad"}
    return Found(states.get(state, "warn"), word, detail, link)


def _gateway(row: CircuitBreaker | None, now: datetime) -> Found:
    if row and row.state_now != CircuitBreaker.State.CLOSED and not row.is_forced:
        return Found("bad", "not answering", "So many calls failed that the breaker opened.")
    read = AuditCheck.objects.filter(invariant=FROM_LEDGER).values_list("checked_at", flat=True)
    at = read.first()
    if at is None:
        return Found("calm", "not asked yet", "The worker reads its ledger every minute.")
    if now - at > GATEWAY_SILENT_AFTER:
        detail = f"Its ledger was last read {ago(at, now)}. Is the worker there?"
        return Found("warn", "silent", detail)
    return Found("good", "answers", f"Its ledger was read {ago(at, now)}.")


def _database(found: Mapping[str, str]) -> Found:
    if found["database"] != "ok":
        return Found("bad", "down", found["database"])
    if found["migrations"] != "ok":
        return Found("bad", "not migrated", found["migrations"])
    return Found("good", "answers", f"{connection.display_name}, tables up to date.")


def _worker(ready: Mapping[str, str]) -> Found:
    found = ready.get("worker", "not known")
    if found == "ok":
        return Found("good", "running", f"Seen in the last {WORKER_SEEN_WITHIN}.")
    word, _, detail = found.replace("`", "").partition(": ")
    return Found("bad", word, f"{detail[:1].upper()}{detail[1:]}")


def _queue() -> Found:
    found = jobs.read_queue()
    waiting = int(found[catalogue.JOBS_WAITING][()])
    oldest = found[catalogue.JOBS_OLDEST_WAITING][()]
    limits = THRESHOLDS.queue
    detail = f"{waiting:,} jobs wait, the oldest for {span(timedelta(seconds=oldest))}."
    if oldest > limits.most_waiting_seconds:
        return Found("bad", "stalled", detail)
    if oldest > limits.warning_waiting_seconds:
        return Found("warn", "slow", detail)
    return Found("good", "flowing", detail if waiting else "No job waits.")


def _disk() -> Found:
    folders = {Path(settings.VAR_DIR), Path(settings.LOG_DIR)}
    found = [shutil.disk_usage(folder) for folder in folders if folder.exists()]
    if not found:
        return Found("calm", "not used", "There is nothing on disk yet.")
    tightest = min(found, key=lambda usage: usage.free / usage.total)
    share = tightest.free / tightest.total
    detail = f"{100 * share:.0f} % free, {tightest.free / 1e9:,.0f} GB."
    if share < THRESHOLDS.disk.least_free_ratio:
        return Found("bad", "full", detail)
    filling = share < THRESHOLDS.disk.warning_free_ratio
    return Found(*(("warn", "filling") if filling else ("good", "room")), detail)


def _receivers(alerts: AlertsNow) -> Found:
    link = reverse("oncall:alerts")
    if not alerts.receivers:
        return Found("warn", "nobody", "No human receiver: only this shop is told.", link)
    return Found("good", "told", f"By {', '.join(alerts.receivers)}.", link)


def _watch(alerts: AlertsNow, now: datetime) -> Found:
    link = reverse("oncall:alerts")
    if alerts.heartbeat_at is None:
        return Found("warn", "never heard", "No alert can reach this page.", link)
    heard = f"Heartbeat {ago(alerts.heartbeat_at, now)}."
    if alerts.heartbeat_late:
        return Found("bad", "silent", f"{heard} Alerts may not reach this page.", link)
    return Found("good", "watching", heard, link)


def _safely(name: str, look: Callable[[], Found]) -> Check:
    try:
        return Check(name, look())
    except Exception:
        logger.exception("event=dashboard.check_failed", extra={"check": name})
        return Check(name, Found("bad", "cannot be told", "This check failed; the log says why."))


def health(alerts: AlertsNow, now: datetime) -> list[Check]:
    """Return how each part is; a check that fails says so and breaks nothing."""
    breaker, ready = cache(_row), cache(readiness)  # asked twice, looked up once
    looks: dict[str, Callable[[], Found]] = {
        "Circuit breaker": lambda: _breaker(breaker(), now),
        "Gateway": lambda: _gateway(breaker(), now),
        "Database": lambda: _database(ready()),
        "Worker": lambda: _worker(ready()),
        "Job queue": _queue,
        "Disk": _disk,
        "Watch": lambda: _watch(alerts, now),
        "Alert receivers": lambda: _receivers(alerts),
    }
    return [_safely(name, look) for name, look in looks.items()]

"""Store Alertmanager's notifications."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import DataError, transaction
from django.db.models import Q

from oncall.models import DETAIL_LENGTH, Alert, AlertFeed, LostAlerts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from django.db.models import QuerySet

    from oncall.notification import AlertNotification, Notification

HEARTBEAT = "Watchdog"
# Alertmanager sends an alert's notifications one by one, so only one that hangs on the way can be
# overtaken, for a minute or so. A "firing" within this time after a "resolved" is such a late one.
# Later, the alert is firing again (with its old start, if Prometheus could not reach Alertmanager
# for a while): better one alarm too many than one too few.
LATE = timedelta(minutes=5)

logger = logging.getLogger("retail.alerts")


def _feed() -> AlertFeed:
    """Return the feed's row, locked until the transaction ends."""
    feed, _ = AlertFeed.objects.get_or_create(pk=1)
    return AlertFeed.objects.select_for_update().get(pk=feed.pk)


def _fields(alert: AlertNotification, now: datetime) -> dict[str, Any]:
    # Truncated rather than rejected: an alert with a long name is still an alert.
    return {
        "name": alert.name[:200],
        "severity": alert.labels.get("severity", "")[:40],
        "service": alert.labels.get("service", "")[:100],
        "status": alert.status,
        "origin": alert.origin,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "generator_url": alert.generator_url,
        "updated_at": now,
    }


def _create(alert: AlertNotification, now: datetime) -> None:
    Alert.objects.create(
        fingerprint=alert.fingerprint,
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        received_at=now,
        **_fields(alert, now),
    )


def _store_firing(alert: AlertNotification, known: QuerySet[Alert], now: datetime) -> bool:
    latest = known.filter(starts_at__gte=alert.starts_at).order_by("-starts_at").first()
    if latest is None:
        # An alert cannot fire twice at once: the end of these was never reported.
        known.filter(status=Alert.Status.FIRING).update(
            status=Alert.Status.RESOLVED, ends_at=alert.starts_at
        )
        _create(alert, now)
        return True
    if latest.status == Alert.Status.RESOLVED and now - latest.updated_at < LATE:
        return False
    known.filter(pk=latest.pk).update(**_fields(alert, now))
    return True


def _store_resolved(alert: AlertNotification, known: QuerySet[Alert], now: datetime) -> bool:
    same = Q(starts_at=alert.starts_at)
    ending = known.filter(same | Q(status=Alert.Status.FIRING), starts_at__lte=alert.ends_at)
    # A row that fires again keeps its previous end; a notification that is not newer is late.
    newer = ending.filter(Q(ends_at=None) | Q(ends_at__lt=alert.ends_at))
    if newer.update(ends_at=alert.ends_at, **_fields(alert, now)):
        return True
    if known.filter(starts_at__gte=alert.starts_at, starts_at__lte=alert.ends_at).exists():
        return False
    _create(alert, now)
    return True


def _store(alert: AlertNotification, now: datetime) -> bool:
    """Store one alert; return False if it is older than the stored one."""
    known = Alert.objects.filter(fingerprint=alert.fingerprint)
    return (_store_resolved if alert.ends_at else _store_firing)(alert, known, now)


def _store_or_lose(alert: AlertNotification, now: datetime) -> bool:
    """Store one alert, as `_store`; what the database cannot hold is recorded as lost."""
    try:
        with transaction.atomic():
            return _store(alert, now)
    except (DataError, ValueError, OverflowError) as error:
        detail = f"{alert.name}: {error}"
        lost_record(reason=LostAlerts.Reason.REFUSED, count=1, detail=detail, now=now)
        return False


def notification_receive(*, notification: Notification, now: datetime) -> None:
    """Store a notification: its readable alerts, and what could not be read or was left out."""
    lost = []
    if unreadable := notification.unreadable:
        lost.append((LostAlerts.Reason.UNREADABLE, len(unreadable), unreadable[0]))
    if notification.cut:
        detail = "Alertmanager's limit for this webhook (max_alerts, max_alerts_bytes)"
        lost.append((LostAlerts.Reason.CUT, notification.cut, detail))
    with transaction.atomic():
        alerts_receive(received=notification.alerts, now=now)
        for reason, count, detail in lost:
            lost_record(reason=reason, count=count, detail=detail, now=now)


def lost_record(*, reason: str, count: int | None, detail: str, now: datetime) -> None:
    """Record alerts that were sent and could not be stored."""
    detail = detail[:DETAIL_LENGTH]
    LostAlerts.objects.create(at=now, reason=reason, count=count, detail=detail)
    extra = {"reason": str(reason), "count": count, "detail": detail}
    logger.error("event=alert.lost", extra=extra)


def alerts_receive(*, received: Sequence[AlertNotification], now: datetime) -> None:
    """Store alerts: all that the database can hold, or none if it fails.

    Notifications may arrive twice, concurrently and out of order: a lock serialises them, and one
    older than the stored state changes nothing. Of the heartbeat, only the time is stored.
    """
    alerts = [alert for alert in received if alert.name != HEARTBEAT]
    beats = any(alert.name == HEARTBEAT and alert.ends_at is None for alert in received)
    with transaction.atomic():
        feed = _feed()
        feed.heard_at = now
        if beats:
            feed.heartbeat_at = now
        feed.save()
        results = [_store_or_lose(alert, now) for alert in alerts]
    for alert, stored in zip(alerts, results, strict=True):
        logger.info(
            "event=alert.received",
            extra={"alert": alert.name, "status": alert.status.value, "kept": stored},
        )


def alerts_prune(*, before: datetime) -> int:
    """Delete alerts last updated, and losses, before a time; return how many."""
    lost = LostAlerts.objects.filter(at__lt=before).delete()[0]
    return lost + Alert.objects.filter(updated_at__lt=before).delete()[0]

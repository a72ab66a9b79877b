"""Keeping what the watch tells."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q

from oncall.models import Alert, AlertFeed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from django.db.models import QuerySet

    from oncall.notification import AlertNotification

HEARTBEAT = "Watchdog"
# Alertmanager sends the news of an alert one by one, so only a sending that hung on its way is
# overtaken, for a minute or so. "Firing" heard within this time after "resolved" is such a one;
# heard later, the alert fires again (under its old start, if Prometheus could not reach
# Alertmanager for a while): better one alarm too many than one too few.
LATE = timedelta(minutes=5)

logger = logging.getLogger("retail.alerts")


def _feed() -> AlertFeed:
    """Return the feed's row, locked until the transaction ends."""
    feed, _ = AlertFeed.objects.get_or_create(pk=1)
    return AlertFeed.objects.select_for_update().get(pk=feed.pk)


def _facts(told: AlertNotification, now: datetime) -> dict[str, Any]:
    # Cut rather than refused: an alert with a long name is still an alert.
    return {
        "name": told.name[:200],
        "severity": told.labels.get("severity", "")[:40],
        "service": told.labels.get("service", "")[:100],
        "status": told.status,
        "origin": told.origin,
        "labels": told.labels,
        "annotations": told.annotations,
        "generator_url": told.generator_url,
        "updated_at": now,
    }


def _make(told: AlertNotification, now: datetime) -> None:
    Alert.objects.create(
        fingerprint=told.fingerprint,
        starts_at=told.starts_at,
        ends_at=told.ends_at,
        received_at=now,
        **_facts(told, now),
    )


def _fires(told: AlertNotification, known: QuerySet[Alert], now: datetime) -> bool:
    latest = known.filter(starts_at__gte=told.starts_at).order_by("-starts_at").first()
    if latest is None:
        # Nobody told that these ended; an alert cannot fire twice at once.
        known.filter(status=Alert.Status.FIRING).update(
            status=Alert.Status.RESOLVED, ends_at=told.starts_at
        )
        _make(told, now)
        return True
    if latest.status == Alert.Status.RESOLVED and now - latest.updated_at < LATE:
        return False
    known.filter(pk=latest.pk).update(**_facts(told, now))
    return True


def _ended(told: AlertNotification, known: QuerySet[Alert], now: datetime) -> bool:
    same = Q(starts_at=told.starts_at)
    meant = known.filter(same | Q(status=Alert.Status.FIRING), starts_at__lte=told.ends_at)
    # One that fires again says when it ended before: what is not newer than that is late.
    newer = meant.filter(Q(ends_at=None) | Q(ends_at__lt=told.ends_at))
    if newer.update(ends_at=told.ends_at, **_facts(told, now)):
        return True
    if known.filter(starts_at__gte=told.starts_at, starts_at__lte=told.ends_at).exists():
        return False
    _make(told, now)
    return True


def _keep(told: AlertNotification, now: datetime) -> bool:
    """Store what was told of an alert; return whether it was news at all."""
    known = Alert.objects.filter(fingerprint=told.fingerprint)
    return (_ended if told.ends_at else _fires)(told, known, now)


def alerts_receive(*, told: Iterable[AlertNotification], now: datetime) -> None:
    """Store what a notification says, all of it or nothing.

    Notifications may come twice, at once and out of order: one is stored after the other, and what
    was sent before something already known changes nothing. The heartbeat is kept as a time only.
    """
    alerts = [one for one in told if one.name != HEARTBEAT]
    beats = any(one.name == HEARTBEAT and one.ends_at is None for one in told)
    with transaction.atomic():
        feed = _feed()
        feed.heard_at = now
        if beats:
            feed.heartbeat_at = now
        feed.save()
        kept = [_keep(one, now) for one in alerts]
    for one, news in zip(alerts, kept, strict=True):
        logger.info(
            "event=alert.received",
            extra={"alert": one.name, "status": one.status.value, "kept": news},
        )


def alerts_prune(*, before: datetime) -> int:
    """Delete the alerts that were last heard of before a time; return how many."""
    return Alert.objects.filter(updated_at__lt=before).delete()[0]

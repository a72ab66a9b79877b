"""Rows about good backups: what the shop knows of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Min
from django.utils import timezone

from retail.models import Backup

if TYPE_CHECKING:
    from retail.backup.archive import Manifest

KEPT = timedelta(days=400)  # rows of older backups are deleted
GAPS_OF = timedelta(days=30)


def record(manifest: Manifest) -> None:
    """Store that a backup is good, and forget very old ones."""
    Backup.objects.filter(taken_at__lt=timezone.now() - KEPT).delete()
    Backup.objects.update_or_create(name=manifest.name, defaults=_fields(manifest))


def record_restore(manifest: Manifest, seconds: float, problem: str) -> None:
    """Store how long the restore of a backup took, and what was wrong with it."""
    result = {
        "restored_at": timezone.now(),
        "restore_seconds": seconds,
        "restore_problem": problem[:200],
    }
    Backup.objects.update_or_create(name=manifest.name, defaults=_fields(manifest) | result)


def _fields(manifest: Manifest) -> dict[str, Any]:
    return {
        "taken_at": manifest.taken(),
        "seconds": manifest.seconds,
        "size": manifest.size,
        "encrypted": manifest.encrypted,
        "ledgers": manifest.ledgers,
    }


def last_positions() -> dict[str, Any]:
    """Return the positions of the ledgers at the last backup."""
    row = last_good()
    return row.ledgers if row else {}


def last_good() -> Backup | None:
    """Return the last backup."""
    return Backup.objects.order_by("-taken_at").first()


def installed_at() -> datetime:
    """Return when the database was made: without a backup, everything since then may be lost."""
    first = MigrationRecorder(connection).migration_qs.aggregate(first=Min("applied"))["first"]
    return first or timezone.now()


def safe_until() -> datetime:
    """Return the time up to which all is in a backup."""
    row = last_good()
    return row.taken_at if row else installed_at()


@dataclass(frozen=True)
class Measured:
    """RPO and RTO as measured. What was never done has no number."""

    backups: list[Backup]
    safe_until: datetime
    rpo: timedelta  # what would be lost now
    largest_gap: timedelta  # the largest that it was in GAPS_OF
    restore: Backup | None  # the last one that was tried


def measured(now: datetime, most: int = 30) -> Measured:
    """Return what backups and restores have measured until now."""
    since = now - GAPS_OF
    times = list(
        Backup.objects.filter(taken_at__gt=since)
        .order_by("taken_at")
        .values_list("taken_at", flat=True)
    )
    before = Backup.objects.filter(taken_at__lte=since).order_by("-taken_at").first()
    start = before.taken_at if before else installed_at()
    gaps = [later - earlier for earlier, later in pairwise([start, *times, now])]
    restored = Backup.objects.filter(restored_at__isnull=False).order_by("-restored_at").first()
    safe = times[-1] if times else start
    return Measured(
        list(Backup.objects.order_by("-taken_at")[:most]),
        safe,
        max(now - safe, timedelta(0)),
        max(*gaps, timedelta(0)),
        restored,
    )

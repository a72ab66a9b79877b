"""The taking-in of a file, its states, and the file itself until it is read."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from partner_feeds.models.partner import Partner
from retail.references import random_reference

new_ingestion_reference = partial(random_reference, "FD")
_OPEN = ("READING", "HELD", "APPLYING")
ENDED = ("DONE", "UNCHANGED", "FAILED", "DISCARDED")


class Ingestion(models.Model):
    """The taking-in of one file, or its taking-back. Changes only along INGESTION_TRANSITIONS."""

    class Status(models.TextChoices):
        """Status of an ingestion."""

        READING = "READING", "Reading"
        HELD = "HELD", "Held"
        APPLYING = "APPLYING", "Applying"
        DONE = "DONE", "Done"
        UNCHANGED = "UNCHANGED", "Same file as before"
        FAILED = "FAILED", "Failed"
        DISCARDED = "DISCARDED", "Discarded"

    class Origin(models.TextChoices):
        """How the file came, or what started the ingestion."""

        COMMAND = "command", "command line"
        UPLOAD = "upload", "uploaded by staff"
        FETCH = "fetch", "fetched"
        PUSH = "push", "sent by the partner"
        TAKE_BACK = "take_back", "take-back"

    reference = models.CharField(
        max_length=20, unique=True, default=new_ingestion_reference, editable=False
    )
    origin = models.CharField(max_length=9, choices=Origin.choices, default=Origin.COMMAND)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="ingestions")
    takes_back = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="taken_back_by"
    )
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.READING)
    file_hash = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the file")
    read_as = models.CharField(max_length=64, blank=True, help_text="digest of the settings")
    file_bytes = models.BigIntegerField(default=0)
    file_dated_at = models.DateTimeField(
        null=True, blank=True, help_text="when the file was made, as its server said"
    )
    is_stored = models.BooleanField(
        default=False, help_text="the whole file is in the database, and any worker can read it"
    )
    records_read = models.PositiveIntegerField(
        default=0, help_text="records of the file that are read, with those that are no row"
    )
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    request_id = models.CharField(max_length=64, blank=True)
    rows = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    absent = models.PositiveIntegerField(default=0, help_text="products that were not in the file")
    to_apply = models.PositiveIntegerField(default=0, help_text="rows or changes, when it began")
    rejected_by_code = models.JSONField(default=dict, blank=True)
    code = models.CharField(max_length=20, blank=True, help_text="why it failed")
    problem = models.CharField(max_length=300, blank=True)
    held_for = models.JSONField(default=list, blank=True, help_text="limits that it exceeds")
    applied_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    reason = models.CharField(max_length=300, blank=True, help_text="why it was applied anyway")
    created_at = models.DateTimeField(default=timezone.now)
    alive_at = models.DateTimeField(default=timezone.now, help_text="last sign of its reader")
    read_at = models.DateTimeField(null=True, blank=True, help_text="when it was read to its end")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions: ClassVar = [
            ("decide_ingestion", "Can upload files, and apply, discard or take them back")
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["partner"],
                condition=Q(status__in=_OPEN),
                name="ingestion_one_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(status__in=_OPEN, finished_at=None)
                | Q(status__in=ENDED, finished_at__isnull=False),
                name="ingestion_finished_when_ended",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["partner", "-created_at"], name="ingestion_of_partner"),
        ]

    def __str__(self) -> str:
        return self.reference


_S = Ingestion.Status
INGESTION_TRANSITIONS: dict[str, frozenset[str]] = {
    _S.READING: frozenset({_S.HELD, _S.APPLYING, _S.UNCHANGED, _S.FAILED}),
    _S.HELD: frozenset({_S.APPLYING, _S.DISCARDED}),
    _S.APPLYING: frozenset({_S.DONE}),
    **dict.fromkeys((_S.DONE, _S.UNCHANGED, _S.FAILED, _S.DISCARDED), frozenset()),
}


class FilePart(models.Model):
    """A part of a file that was received and is not read to its end yet."""

    ingestion = models.ForeignKey(
        Ingestion, on_delete=models.CASCADE, related_name="parts", db_index=False
    )
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["ingestion", "number"], name="file_part_once")
        ]

    def __str__(self) -> str:
        return f"{self.ingestion_id}: {self.number}"

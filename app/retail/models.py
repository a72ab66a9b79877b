"""Metric rows and rollups, heartbeats, jobs, audit results, outbox, security events, backups."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone

from retail.observability.prometheus.catalogue import SECURITY_EVENTS
from retail.observability.rows.types import METRIC_TYPES


class Metric(models.Model):
    """One measurement, or the aggregate of a 10 s interval. Units: docs/metrics.md."""

    metric_type = models.CharField(max_length=40, choices=[(name, name) for name in METRIC_TYPES])
    value = models.FloatField()
    metadata = models.JSONField(default=dict, blank=True)
    timestamp = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["metric_type", "timestamp"], name="metric_type_time"),
            models.Index(fields=["timestamp"], name="metric_time"),
            # Finds the latest errors without reading the successes. With the type among its fields,
            # SQLite prefers this index to the first.
            models.Index(
                fields=["metric_type", "timestamp"],
                name="metric_errors",
                condition=models.Q(metric_type="error_rate", value__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric_type}={self.value:g} at {self.timestamp:%Y-%m-%d %H:%M:%S}"


class MetricRollup(models.Model):
    """One metric type over a minute, hour or day; can be rebuilt at any time (retail/history).

    `count` and `total` are weighted: a row for 12 requests counts 12 times, so `total / count` is
    the true average. Minutes are kept for two days, hours and days forever.
    """

    class Period(models.TextChoices):
        """Length of a rollup."""

        MINUTE = "minute"
        HOUR = "hour"
        DAY = "day"

    metric_type = models.CharField(max_length=40)
    period = models.CharField(max_length=6, choices=Period.choices)
    start = models.DateTimeField()
    count = models.PositiveBigIntegerField()
    total = models.FloatField()
    minimum = models.FloatField()
    maximum = models.FloatField()
    aggregates = models.JSONField(default=dict, blank=True, help_text="merged metadata of the rows")

    class Meta:
        constraints: ClassVar = [
            # Also the index for reading a time range; hence this order.
            models.UniqueConstraint(
                fields=["period", "start", "metric_type"], name="one_rollup_a_period"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric_type}, {self.period} of {self.start:%Y-%m-%d %H:%M}"


class RollupMark(models.Model):
    """Time up to which all metric rows are rolled up. The table has one row.

    Rows may arrive late; the ids show which: `newest_row` is the newest row when the last run
    started, `checked_row` when the one before it did.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    until = models.DateTimeField()
    newest_row = models.BigIntegerField(null=True)
    checked_row = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return f"rolled up until {self.until:%Y-%m-%d %H:%M}"


class WorkerHeartbeat(models.Model):
    """Time of a worker's last heartbeat."""

    worker = models.CharField(max_length=100, primary_key=True)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.worker}, seen {self.seen_at:%Y-%m-%d %H:%M:%S}"


class JobSuccess(models.Model):
    """When a periodic job last succeeded; before its first success, when it was first due."""

    task = models.CharField(max_length=100, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.task}, {self.at:%Y-%m-%d %H:%M:%S}"


class AuditCheck(models.Model):
    """Progress and last result of the audit of one invariant."""

    invariant = models.CharField(max_length=40, primary_key=True)
    version = models.PositiveBigIntegerField(default=0, help_text="number of results stored")
    checkpoint = models.JSONField(default=dict, help_text="where the next scan starts")
    checked_at = models.DateTimeField(null=True, help_text="when a scan last reached the end")
    checked = models.PositiveBigIntegerField(default=0, help_text="rows checked by that scan")
    violations = models.PositiveIntegerField(
        default=0, help_text="open violations after the last scan"
    )
    full_checkpoint = models.JSONField(null=True, help_text="where the daily full scan continues")
    full_checked_at = models.DateTimeField(null=True, help_text="when a full scan last finished")

    def __str__(self) -> str:
        return self.invariant


class AuditViolation(models.Model):
    """A row that violates an invariant; resolved when a later audit no longer finds it."""

    invariant = models.CharField(max_length=40)
    subject = models.CharField(max_length=100, help_text="id, order reference or payment key")
    detail = models.CharField(max_length=200)
    amount = models.PositiveBigIntegerField(default=1, help_text="units, if countable")
    found_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["-resolved_at", "-id"], name="violation_open_first"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["invariant", "subject"],
                condition=models.Q(resolved_at__isnull=True),
                name="one_open_violation_a_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.invariant}: {self.subject}"


class Email(models.Model):
    """An e-mail in the outbox. Its text is composed when it is sent (retail/mail)."""

    class State(models.TextChoices):
        """State of an e-mail. All but WAITING are final."""

        WAITING = "waiting", "waiting to be sent"
        SENT = "sent", "accepted by the mail server"
        NOT_NEEDED = "not_needed", "nobody to write to"
        REFUSED = "refused", "refused by the mail server for good"
        UNCERTAIN = "uncertain", "handed over twice, without an answer"
        GIVEN_UP = "given_up", "not accepted within a day"

    kind = models.CharField(max_length=40)
    about = models.CharField(max_length=64, help_text="order reference or user id")
    context = models.JSONField(default=dict, blank=True, help_text="no secrets")
    message_id = models.UUIDField(default=uuid.uuid4, help_text="the same at each attempt")
    request_id = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    unanswered = models.PositiveIntegerField(
        default=0, help_text="times that the server was given the text and did not answer"
    )
    last_error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now, help_text="when the worker claims it")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "e-mail"
        indexes: ClassVar = [
            models.Index(fields=["due_at"], name="email_due", condition=models.Q(state="waiting")),
            models.Index(
                fields=["ended_at"], name="email_ended", condition=models.Q(ended_at__isnull=False)
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "about"],
                condition=models.Q(state="waiting"),
                name="one_waiting_email_a_subject",
            ),
            models.CheckConstraint(
                condition=models.Q(state="waiting", ended_at__isnull=True)
                | (~models.Q(state="waiting") & models.Q(ended_at__isnull=False)),
                name="email_ended_unless_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}, {self.about}"


class SecurityEvent(models.Model):
    """A log-in or a change that matters for security. Rows outlive the accounts that they name."""

    class Outcome(models.TextChoices):
        """Whether what was tried was done."""

        SUCCEEDED = "succeeded"
        FAILED = "failed"

    event = models.CharField(max_length=20, choices=[(name, name) for name in SECURITY_EVENTS])
    outcome = models.CharField(max_length=9, choices=Outcome.choices)
    user_id = models.BigIntegerField(null=True, help_text="who did it; of a log-in, whose account")
    subject = models.CharField(max_length=100, blank=True, help_text="model and id of the row")
    detail = models.CharField(max_length=200, blank=True, help_text="names of what changed")
    client = models.CharField(max_length=45, blank=True, help_text="IP address")
    request_id = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["at"], name="security_time"),
            models.Index(fields=["user_id", "at"], name="security_user_time"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.outcome}, {self.at:%Y-%m-%d %H:%M:%S}"


class Backup(models.Model):
    """A good backup, and the last restore of it. Rows are added by `manage.py backup`."""

    name = models.CharField(max_length=100, unique=True, help_text="of the file")
    taken_at = models.DateTimeField(db_index=True, help_text="what is committed later is not in it")
    seconds = models.FloatField(help_text="that it took")
    size = models.PositiveBigIntegerField(help_text="in bytes")
    encrypted = models.BooleanField()
    ledgers = models.JSONField(default=dict, help_text="how far other programs' ledgers were")
    restored_at = models.DateTimeField(null=True)
    restore_seconds = models.FloatField(null=True, help_text="to the end of the audit")
    restore_problem = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.name

"""The rows behind the in-app pages, the worker's sign of life, and what audits found."""

from typing import ClassVar

from django.db import models

from retail.observability.rows.recorder import METRIC_TYPES


class Metric(models.Model):
    """One thing that was measured, or an interval's aggregate (docs/metrics.md tells the units)."""

    metric_type = models.CharField(max_length=40, choices=[(name, name) for name in METRIC_TYPES])
    value = models.FloatField()
    metadata = models.JSONField(default=dict, blank=True)
    timestamp = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["metric_type", "timestamp"], name="metric_type_time"),
            models.Index(fields=["timestamp"], name="metric_time"),
            # The latest errors are found without looking at all that went well since. The type is a
            # field too, for SQLite to see that this index is better than the first.
            models.Index(
                fields=["metric_type", "timestamp"],
                name="metric_errors",
                condition=models.Q(metric_type="error_rate", value__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric_type}={self.value:g} at {self.timestamp:%Y-%m-%d %H:%M:%S}"


class MetricRollup(models.Model):
    """A minute, hour or day of one metric type, rebuilt as often as needed (retail/history).

    `count` and `total` are weighted: a row that stands for 40 requests counts 40 times, so that
    `total / count` is the true average. Minutes are kept for two days, hours and days for good.
    """

    class Period(models.TextChoices):
        """How long a rollup is."""

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
    aggregates = models.JSONField(default=dict, blank=True, help_text="sums of the rows' metadata")

    class Meta:
        constraints: ClassVar = [
            # In this order it is also how pages find the steps of a span.
            models.UniqueConstraint(
                fields=["period", "start", "metric_type"], name="one_rollup_a_period"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric_type}, {self.period} of {self.start:%Y-%m-%d %H:%M}"


class RollupMark(models.Model):
    """Up to when everything that was measured is in the rollups; there is one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"rolled up until {self.until:%Y-%m-%d %H:%M}"


class WorkerHeartbeat(models.Model):
    """When a worker last said that it is there."""

    worker = models.CharField(max_length=100, primary_key=True)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.worker}, seen {self.seen_at:%Y-%m-%d %H:%M:%S}"


class AuditCheck(models.Model):
    """How far the audit of one invariant has got."""

    invariant = models.CharField(max_length=40, primary_key=True)
    version = models.PositiveBigIntegerField(default=0, help_text="how often a result was stored")
    checkpoint = models.JSONField(default=dict, help_text="where the next look begins")
    checked_at = models.DateTimeField(null=True, help_text="when a look last reached the end")
    checked = models.PositiveBigIntegerField(default=0, help_text="rows that look saw")
    violations = models.PositiveIntegerField(default=0, help_text="open after the last look")
    full_checkpoint = models.JSONField(null=True, help_text="where the daily full look goes on")
    full_checked_at = models.DateTimeField(null=True, help_text="when all rows were last seen")

    def __str__(self) -> str:
        return self.invariant


class AuditViolation(models.Model):
    """A promise that was found broken; resolved when a later audit finds it kept."""

    invariant = models.CharField(max_length=40)
    subject = models.CharField(max_length=100, help_text="id, order reference or payment key")
    detail = models.CharField(max_length=200)
    amount = models.PositiveBigIntegerField(default=1, help_text="units, where they are counted")
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

"""Alerts received from Alertmanager, and when it last sent something."""

from typing import ClassVar

from django.db import models

DETAIL_LENGTH = 300
MOST_COUNTED = 2**31 - 1  # the greatest number that LostAlerts.count can store
FINGERPRINT_LENGTH = 64  # Alertmanager sends 16 hexadecimal digits


class Alert(models.Model):
    """One period in which an alert fired; firing again later creates another row."""

    class Status(models.TextChoices):
        """The last status received."""

        FIRING = "firing"
        RESOLVED = "resolved"

    class Origin(models.TextChoices):
        """The system that evaluates the rule."""

        PROMETHEUS = "prometheus", "Prometheus"
        GRAFANA = "grafana", "Grafana"
        LOKI = "loki", "Loki"

    fingerprint = models.CharField(
        max_length=FINGERPRINT_LENGTH, help_text="Alertmanager's hash of the labels"
    )
    name = models.CharField(max_length=200)
    severity = models.CharField(max_length=40, blank=True)
    service = models.CharField(max_length=100, blank=True)
    status = models.CharField(max_length=8, choices=Status.choices)
    origin = models.CharField(max_length=10, choices=Origin.choices)
    labels = models.JSONField(default=dict)
    annotations = models.JSONField(default=dict)
    generator_url = models.TextField(blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, help_text="if it is firing again: the previous end")
    received_at = models.DateTimeField(help_text="time of the first notification")
    updated_at = models.DateTimeField(help_text="time of the last notification")

    class Meta:
        db_table = "dashboards_alert"  # from when alerts were part of the dashboards app
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["fingerprint", "starts_at"], name="one_alert_a_fingerprint_and_start"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["status", "-ends_at"], name="alert_status_end"),
            models.Index(fields=["updated_at"], name="alert_updated"),
        ]

    def __str__(self) -> str:
        return f"{self.name}, {self.status}"


class LostAlerts(models.Model):
    """Alerts that were sent and could not be stored."""

    class Reason(models.TextChoices):
        """Why they could not be stored."""

        CUT = "cut", "left out by Alertmanager"
        UNREADABLE = "unreadable", "alert unreadable"
        REFUSED = "refused", "notification refused"

    at = models.DateTimeField(db_index=True)
    reason = models.CharField(max_length=10, choices=Reason.choices)
    count = models.PositiveIntegerField(null=True, help_text="alerts; null if unknown")
    detail = models.CharField(max_length=DETAIL_LENGTH)

    class Meta:
        verbose_name_plural = "lost alerts"

    def __str__(self) -> str:
        return f"{self.reason} at {self.at:%Y-%m-%d %H:%M:%S}"


class AlertFeed(models.Model):
    """Times of the last notifications. Its only row is also the lock for writing alerts."""

    heard_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True, help_text="time of the last heartbeat")

    class Meta:
        db_table = "dashboards_alertfeed"  # as above

    def __str__(self) -> str:
        return "alert feed"

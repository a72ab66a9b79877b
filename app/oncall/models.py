"""The alerts that were told to the shop, and when it last heard from the watch."""

from typing import ClassVar

from django.db import models

FINGERPRINT_LENGTH = 64  # Alertmanager's are 16 hexadecimal digits


class Alert(models.Model):
    """One time that an alert fired; the same alert firing again later is another row."""

    class Status(models.TextChoices):
        """Whether it still fires, as far as anybody told."""

        FIRING = "firing"
        RESOLVED = "resolved"

    class Origin(models.TextChoices):
        """Who evaluates the rule."""

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
    ends_at = models.DateTimeField(
        null=True, help_text="of one that fires again: when it was last said to have ended"
    )
    received_at = models.DateTimeField(help_text="when the shop first heard of it")
    updated_at = models.DateTimeField(help_text="when the shop last heard of it")

    class Meta:
        db_table = "dashboards_alert"  # made when alerts were part of the app dashboards
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


class AlertFeed(models.Model):
    """When the shop was last told anything; the one row is also the lock of who writes alerts."""

    heard_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True, help_text="when Watchdog was last heard")

    class Meta:
        db_table = "dashboards_alertfeed"  # as above

    def __str__(self) -> str:
        return "alert feed"

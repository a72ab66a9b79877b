"""The circuit breaker's state, shared by all processes and kept over restarts."""

from typing import ClassVar

from django.db import models
from django.db.models import Q


class CircuitBreaker(models.Model):
    """One breaker. Changed only by `payments.breaker`, by compare-and-set on `version`."""

    class State(models.TextChoices):
        """What the breaker does with calls."""

        CLOSED = "closed"
        OPEN = "open"
        HALF_OPEN = "half_open", "half-open"

    name = models.CharField(max_length=40, primary_key=True)
    state = models.CharField(max_length=9, choices=State.choices, default=State.CLOSED)
    failures = models.PositiveIntegerField(default=0, help_text="failures in a row")
    opened_at = models.DateTimeField(null=True, blank=True)
    probe = models.CharField(max_length=64, blank=True, help_text="who may try while half-open")
    probe_until = models.DateTimeField(null=True, blank=True)
    version = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state="closed") | Q(opened_at__isnull=False),
                name="breaker_open_since_some_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.get_state_display()}"

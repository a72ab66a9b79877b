"""The circuit breaker's state, shared by all processes and kept across restarts."""

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from retail.clocks import MARGIN

REASON_LENGTH = 200
FORCE_MINUTES = (1, 240)  # a forgotten force expires within a shift


class CircuitBreaker(models.Model):
    """A circuit breaker. Only `payments.breaker` changes it, by compare-and-set on `version`."""

    class State(models.TextChoices):
        """What the breaker does with calls."""

        CLOSED = "closed"
        OPEN = "open"
        HALF_OPEN = "half_open", "half-open"

    FORCIBLE: ClassVar = (State.OPEN, State.CLOSED)

    name = models.CharField(max_length=40, primary_key=True)
    state = models.CharField(max_length=9, choices=State.choices, default=State.CLOSED)
    failures = models.PositiveIntegerField(default=0, help_text="consecutive failures")
    opened_at = models.DateTimeField(
        null=True, blank=True, help_text="the next probe is due some seconds later"
    )
    open_since = models.DateTimeField(
        null=True, blank=True, help_text="start of the outage; failed probes do not change it"
    )
    probe = models.CharField(max_length=64, blank=True, help_text="holder of the half-open probe")
    probe_until = models.DateTimeField(null=True, blank=True)
    forced_state = models.CharField(
        max_length=9, blank=True, choices=[(state.value, state.label) for state in FORCIBLE]
    )
    forced_reason = models.CharField(max_length=REASON_LENGTH, blank=True)
    forced_until = models.DateTimeField(null=True, blank=True)
    forced_by = models.CharField(max_length=150, blank=True, help_text="a username")
    version = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state="closed") | Q(opened_at__isnull=False),
                name="breaker_open_since_some_time",
            ),
            models.CheckConstraint(
                condition=Q(forced_state="", forced_reason="", forced_until=None, forced_by="")
                | Q(forced_state__in=("open", "closed"), forced_until__isnull=False)
                & ~Q(forced_reason="")
                & ~Q(forced_by=""),
                name="breaker_force_is_whole_or_not_there",
            ),
            models.CheckConstraint(
                condition=Q(forced_state="") | Q(forced_state=F("state")),
                name="breaker_state_is_the_forced_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.State(self.state_now).label}"

    @property
    def force_is_over(self) -> bool:
        """Whether a force has expired; the next call ends it.

        One that ends later than any can was begun before the clock was set back.
        """
        if self.forced_until is None:
            return False
        left = self.forced_until - timezone.now()
        return not timedelta(0) < left <= timedelta(minutes=FORCE_MINUTES[1]) + MARGIN

    @property
    def is_forced(self) -> bool:
        """Whether the breaker is forced now."""
        return self.forced_until is not None and not self.force_is_over

    @property
    def state_after_force(self) -> State:
        """State when the force ends. After a forced open, the gateway must be probed first."""
        opened = self.forced_state == self.State.OPEN
        return self.State.HALF_OPEN if opened else self.State.CLOSED

    @property
    def state_now(self) -> State:
        """State that the next call will find, also if a force has expired since the last one."""
        return self.state_after_force if self.force_is_over else self.State(self.state)

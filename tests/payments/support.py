"""Helpers of the breaker's tests, such as a fake clock."""

from datetime import datetime, timedelta

from django.utils import timezone

from payments import breaker
from payments.models import CircuitBreaker


class Clock:
    """A clock that moves only when a test advances it."""

    def __init__(self) -> None:
        self.now = timezone.now()

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def fail(times: int) -> None:
    for _ in range(times):
        breaker.report(breaker.acquire("caller"), succeeded=False)


def state() -> str:
    return CircuitBreaker.objects.get().state

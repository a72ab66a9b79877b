"""What the worker found of the quality scenarios, minute by minute."""

from typing import ClassVar

from django.db import models


class VerdictInterval(models.Model):
    """A time through which every minute's verdict on a scenario was the same.

    `measures` are those of the last of them. Both times are whole minutes, so that two workers who
    judge at once write the same row.
    """

    scenario = models.CharField(max_length=2)
    verdict = models.CharField(max_length=11)
    since = models.DateTimeField()
    until = models.DateTimeField()
    measures = models.JSONField(default=list)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["until"], name="verdict_until")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["scenario", "since"], name="one_verdict_a_minute"),
        ]

    def __str__(self) -> str:
        return f"{self.scenario}: {self.verdict} since {self.since:%Y-%m-%d %H:%M}"

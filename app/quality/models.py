"""Stored verdicts on the quality scenarios."""

from typing import ClassVar

from django.db import models


class VerdictInterval(models.Model):
    """An interval in which a scenario had the same verdict every minute.

    `measures` are those of the last minute. Both times are whole minutes, so that two workers that
    evaluate at the same time write the same row.
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

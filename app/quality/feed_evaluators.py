"""Evaluate the scenarios of partner feeds from the records of the files, not from counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from django.db.models import Count, Max

from partner_feeds.models import AppliedChange, Ingestion, RejectedRow
from products.models import StockMovement
from quality.scenario import Measure
from retail import evaluation, measures
from retail.evaluation import TOO_FEW
from retail.health import counted
from retail.measures import Window
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta

    from quality.scenario import Evidence
    from retail.history.read import Point

NEWEST = 5_000  # files read at most
WITH_REJECTS = 100  # files whose rejected rows are counted
_NAMED = 3


class _File(NamedTuple):
    """A file that ended; a take-back is not one."""

    pk: int
    reference: str
    status: str
    created_at: datetime
    finished_at: datetime
    rows: int
    absent: int  # products that are not in it: applied if they sell out therefore
    created: int
    updated: int
    unchanged: int
    rejected: int

    @property
    def off(self) -> int:
        """How many rows are not accounted for."""
        accounted = self.created + self.updated + self.unchanged + self.rejected
        return abs(self.rows + self.absent - accounted)


def _files(evidence: Evidence) -> list[_File]:
    """Return the newest files that ended in the window, the newest first."""
    last = Ingestion.objects.aggregate(last=Max("pk"))["last"] or 0
    span = evidence.span
    rows = Ingestion.objects.filter(
        pk__gt=last - NEWEST,
        takes_back=None,
        finished_at__gte=span.since,
        finished_at__lt=span.until,
    )
    return [_File(*row) for row in rows.order_by("-pk").values_list(*_File._fields)]


def _named(references: Iterable[str]) -> str:
    names = sorted(references)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def pipeline(evidence: Evidence) -> Sequence[Measure]:
    """I1: every row of a file is accounted for, and every rejected one has its reason."""
    applied = [file for file in _files(evidence) if file.status == Ingestion.Status.DONE]
    wrong = {file.reference: file.off for file in applied if file.off}
    return (
        Measure("Files applied", len(applied), "", "≥ 1", met=True if applied else None),
        Measure(
            "Rows not accounted for",
            sum(wrong.values()) if applied else None,
            "",
            "0",
            not wrong if applied else None,
            f"in {_named(wrong)}" if wrong else "created, updated, unchanged or rejected",
        ),
        _reasons([file for file in applied if file.rejected][:WITH_REJECTS]),
    )


def _reasons(files: Sequence[_File]) -> Measure:
    """Compare the numbers of rejected rows with the rows that are stored with their reasons."""
    rows = RejectedRow.objects.filter(ingestion__in=[file.pk for file in files]).order_by()
    stored = dict(rows.values_list("ingestion").annotate(Count("pk")))
    differences = {file.reference: file.rejected - stored.get(file.pk, 0) for file in files}
    wrong = {reference: abs(off) for reference, off in differences.items() if off}
    return Measure(
        "Rejected rows without a reason",
        sum(wrong.values()) if files else None,
        "",
        "0",
        not wrong if files else None,
        f"in {_named(wrong)}" if wrong else f"of {counted(len(files), 'file')} with rejected rows",
        required=False,
    )


def bulk_upsert(evidence: Evidence) -> Sequence[Measure]:
    """I2: a file whose rows are all in the shop already changes nothing, and slows nobody down."""
    files = _files(evidence)
    again = [
        file
        for file in files
        if file.status == Ingestion.Status.UNCHANGED
        or (file.status == Ingestion.Status.DONE and not file.created + file.updated)
    ]
    found = [*_movements(again), *_changes(again)]
    return (
        Measure(
            "Files with nothing new",
            len(again),
            "",
            "≥ 1",
            met=True if again else None,
            note="the same file, or the same values",
        ),
        Measure(
            "Changes and stock movements by them",
            len(found) if again else None,
            "",
            "0",
            not found if again else None,
            f"in {_named(set(found))}" if found else "by the stock ledger and the kept old values",
        ),
        _response_time(evidence, files),
    )


def _movements(files: Iterable[_File]) -> list[str]:
    """Return the reference of each stock movement by these files, from the ledger."""
    movements = StockMovement.objects.filter(reference__in=[file.reference for file in files])
    return list(movements.values_list("reference", flat=True))


def _changes(files: Iterable[_File]) -> list[str]:
    """Return the reference of each change by these files that can be taken back."""
    changes = AppliedChange.objects.filter(ingestion__in=[file.pk for file in files])
    return list(changes.values_list("ingestion__reference", flat=True))


def _response_time(evidence: Evidence, files: Iterable[_File]) -> Measure:
    """Evaluate the response time in the steps in which files were applied."""
    times = [
        (file.created_at, file.finished_at)
        for file in files
        if file.status == Ingestion.Status.DONE
    ]
    during = Window.of(
        {
            kind: [point for point in points if _overlaps(point, evidence.span.step, times)]
            for kind, points in evidence.rows.items()
        }
    )
    status = evaluation.response_time(during)
    few = THRESHOLDS.error_rate.least_requests
    return Measure(
        "Response time while files are taken in, p95",
        measures.response_quantile(during, 0.95),
        "ms",
        f"≤ {1000 * THRESHOLDS.response_time.most_seconds:g} ms",
        status.met,
        f"too few to evaluate: at least {few} needed"
        if status == TOO_FEW
        else "of all requests, checkouts included, in the steps with files",
        required=False,
    )


def _overlaps(point: Point, step: timedelta, times: Iterable[tuple[datetime, datetime]]) -> bool:
    return any(since < point.start + step and until >= point.start for since, until in times)

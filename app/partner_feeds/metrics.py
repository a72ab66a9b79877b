"""Metrics of partner feeds.

Rows and files are added up from the ingestions at scrape time, not counted by the process that does
the work: `manage.py ingest_feed` is a process that nobody scrapes, and what a killed process had
counted would be lost, or counted again by the one that resumes. Ingestions are never deleted, so
the sums only rise, and a partner's series exist before its first file. Every process reports the
same values: take `max`, never `sum`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from partner_feeds import measures, totals
from partner_feeds.models import ENDED, Ingestion
from retail.db.reads import bounded_read
from retail.observability.prometheus.instruments import (
    DatabaseCounter,
    DatabaseGauge,
    Histogram,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from partner_feeds.measures import Partnership
    from partner_feeds.totals import Files

Samples = dict[tuple[str, ...], float]

OUTCOMES = tuple(status.lower() for status in ENDED)
HELD = "held"
# A sum over all files, for numbers that change a few times an hour.
EVERY_SECONDS = 15.0
MINUTE, HOUR = 60, 3_600

ROWS = DatabaseCounter(
    "retail_feed_rows_total",
    "Rows of files that were applied, by partner and result. After the first "
    f"{totals.MOST_LABELS} partners, the others are one. A product that is missing in the file, "
    "and sells out therefore, is updated.",
    {"partner": None, "result": totals.RESULTS},
)
INGESTIONS = DatabaseCounter(
    "retail_feed_ingestions_total",
    "Files of partners by outcome. A held one counts as held, and again when it is done or "
    "discarded. unchanged: the same file as before.",
    {"outcome": (*OUTCOMES, HELD)},
)
DURATION = Histogram(
    "retail_feed_duration_seconds",
    "Time from the arrival of a file to its end, also while it was held. Those of "
    "manage.py ingest_feed are not included.",
    {"outcome": OUTCOMES},
    buckets=(
        *(0.1, 0.5, 1, 5, 15, MINUTE, 5 * MINUTE, 15 * MINUTE),
        *(HOUR, 6 * HOUR, 24 * HOUR, 72 * HOUR),
    ),
)
LAST_SUCCESS = DatabaseGauge(
    "retail_feed_last_success_timestamp_seconds",
    "Time when the last file of a partner was applied, or was the same as before.",
    {"partner": None},
)
AGE = DatabaseGauge(
    "retail_feed_age_seconds",
    "Time since the last success of an active partner with a promise, or since the promise, if "
    "that is later. Of other, the latest by its promise.",
    {"partner": None},
)
MOST_AGE = DatabaseGauge(
    "retail_feed_most_age_seconds",
    "How long an active partner may go without a success, by its promise; absent without one.",
    {"partner": None},
)
FEEDS_HELD = DatabaseGauge(
    "retail_feeds_held", "Files of active partners that are held until staff decide."
)
HELD_OLDEST = DatabaseGauge(
    "retail_feeds_held_oldest_seconds",
    "Time since the oldest of these files was held; 0 if there is none.",
)


def record_ended(ingestion: Ingestion) -> None:
    """Record how long a file took, once its end is committed."""
    if ingestion.finished_at is None or ingestion.takes_back_id:
        return
    seconds = (ingestion.finished_at - ingestion.created_at).total_seconds()
    outcome = ingestion.status.lower()
    transaction.on_commit(partial(DURATION.observe, max(seconds, 0.0), outcome=outcome))


def read_feeds() -> dict[DatabaseGauge, Samples]:
    """Return what all files add up to, the age of each feed, and what is held."""
    now = timezone.now()
    with bounded_read():
        # Partners after their files, so that each file's partner is among them.
        files, partners = totals.all_files(), totals.partners_in_order()
        held = totals.held_files()
    active = totals.partnerships(partners, files)
    worst = measures.worst_by_label(active, now)
    return {
        ROWS: _rows(files, totals.labels_of(partners)),
        INGESTIONS: {(name,): count for name, count in _outcomes(files).items()},
        LAST_SUCCESS: _last_successes(active),
        AGE: {(name,): measures.age_seconds(one, now) for name, one in worst.items()},
        MOST_AGE: {(name,): one.promise_seconds or 0.0 for name, one in worst.items()},
        FEEDS_HELD: {(): len(held)},
        HELD_OLDEST: {(): measures.held_oldest_seconds(held, now)},
    }


def _rows(files: Sequence[Files], labels: Mapping[int, str]) -> Samples:
    results = totals.RESULTS
    rows: Samples = {(name, result): 0.0 for name in labels.values() for result in results}
    for group in files:
        if group.status == Ingestion.Status.DONE:
            for result, count in group.rows.items():
                rows[labels[group.partner_id], result] += count
    return rows


def _last_successes(partners: Sequence[Partnership]) -> Samples:
    times = sorted((one.last_success, one.label) for one in partners if one.last_success)
    return {(label,): at.timestamp() for at, label in times}


def _outcomes(files: Sequence[Files]) -> dict[str, int]:
    counts = dict.fromkeys((*OUTCOMES, HELD), 0)
    for group in files:
        counts[HELD] += group.were_held
        if group.status in ENDED:
            counts[group.status.lower()] += group.count
    return counts

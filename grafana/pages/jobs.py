"""Background jobs: what waits, what runs, what fails."""

from alerts.stock import INVARIANTS
from grafana.page import page
from grafana.parts import (
    BAD,
    GOOD,
    WARN,
    link,
    mapping,
    override,
    query,
    series,
    stat,
    steps,
    window,
)
from retail.thresholds import THRESHOLDS, in_words

QUEUE = THRESHOLDS.queue
AUDIT_AGE = in_words(THRESHOLDS.invariants.stale_after_seconds)
WAIT_STEPS = steps((QUEUE.warning_waiting_seconds, WARN), (QUEUE.most_waiting_seconds, BAD))
LOGS = link("What the jobs logged", "retail-logs", "&var-logger=retail.jobs")
RUNS = "retail_jobs_total"

PAGE = page(
    "retail-jobs",
    "Letters, clean-up and the audit. Orders and payments do not depend on this queue.",
    [
        stat(
            "Worker",
            "Processes of the worker that Prometheus can read. None: letters, audits and flash "
            "payments wait; `docker compose up -d worker`.",
            [query('count(up{job="worker"} == 1) or vector(0)', now=True)],
            thresholds=steps((1, GOOD), base=BAD),
        ),
        stat(
            "Oldest waiting job",
            f"Jobs begin at once, so normally 0 s. Beyond {window(QUEUE.most_waiting_seconds)} "
            "nobody works the queue off, or one job blocks it: restart the worker, which is "
            "safe.",
            [query("max(retail_jobs_oldest_waiting_seconds)", now=True)],
            unit="s",
            decimals=0,
            thresholds=WAIT_STEPS,
        ),
        stat(
            "Jobs waiting",
            "Not begun yet, counted in the database. Normally 0 or a few. Many but young: a "
            "burst of letters after a sale, which passes.",
            [query("max(retail_jobs_waiting)", now=True)],
            paint="value",
            thresholds=steps(base="blue"),
        ),
        stat(
            "Jobs failed in this time",
            "Normally 0. A job that failed is tried again; one that fails again and again stands "
            "in the logs as event=job.failed with its traceback.",
            [query(f'sum(increase({RUNS}{{outcome="failed"}}[$__range]))', now=True)],
            decimals=0,
            thresholds=steps((1, WARN)),
            links=[LOGS],
        ),
        stat(
            "Jobs done in this time",
            "All tasks together. At least the regular ones run: none at all in an hour means "
            "that the schedule does not tick.",
            [query(f'sum(increase({RUNS}{{outcome="succeeded"}}[$__range]))', now=True)],
            decimals=0,
            paint="value",
            thresholds=steps(base="blue"),
        ),
        stat(
            "Audit",
            f"Promises that were audited in the last {AUDIT_AGE}, of {len(INVARIANTS)}. Fewer: "
            "the worker does not run, or the gateway does not answer its questions about "
            "charges.",
            [
                query(
                    "count(count by (invariant) (retail_invariant_violations)) or vector(0)",
                    now=True,
                )
            ],
            mappings=mapping({0: ("not running", BAD)}),
            thresholds=steps((len(INVARIANTS), GOOD), base=WARN),
        ),
        series(
            "Waiting time of the oldest job",
            f"Normally 0. Above {window(QUEUE.most_waiting_seconds)} for "
            f"{window(QUEUE.for_seconds)} RetailQueueStalled fires: worker down, or blocked by "
            "one job.",
            [query("max(retail_jobs_oldest_waiting_seconds)", "oldest")],
            size=(12, 8),
            unit="s",
            thresholds=WAIT_STEPS,
            soft_most=QUEUE.most_waiting_seconds,
        ),
        series(
            "Jobs waiting",
            "Normally 0 or a few. A slope that does not turn: more is enqueued than one worker "
            "does; set WORKER_PROCESSES higher.",
            [query("max(retail_jobs_waiting)", "waiting")],
            size=(12, 8),
            unit="short",
            decimals=0,
            soft_most=5,
        ),
        series(
            "Jobs done per minute, by task",
            "The audit and settle_payments tick every minute; send_confirmation follows the "
            "orders. A task that is missing from its usual place does not run.",
            [
                query(
                    f'sum by (task) (increase({RUNS}{{outcome="succeeded"}}[5m])) / 5 > 0',
                    "{{task}}",
                )
            ],
            size=(12, 9),
            unit="short",
            stacked=True,
            no_value="No job has run in this time",
        ),
        series(
            "Jobs failed per minute, by task",
            "Normally none. send_confirmation: the mail server; the others: the database. The "
            "traceback is in the logs (event=job.failed).",
            [
                query(
                    f'sum by (task) (increase({RUNS}{{outcome="failed"}}[5m])) / 5 > 0'
                    '\nor label_replace(vector(0), "task", "none", "", "")',
                    "{{task}}",
                )
            ],
            size=(12, 9),
            unit="short",
            soft_most=1,
            links=[LOGS],
            overrides=[override("none", color={"mode": "fixed", "fixedColor": GOOD})],
        ),
        series(
            "Time of a job, 95 of 100",
            "Normally below a second; the audit takes longer the more orders there are. A job "
            "near the queue's retry time would run twice (which is safe, but wasteful).",
            [
                query(
                    "histogram_quantile(0.95, sum by (le, task) "
                    "(increase(retail_job_duration_seconds_bucket[5m]))) >= 0",
                    "{{task}}",
                )
            ],
            size=(24, 9),
            unit="s",
            links=[LOGS],
        ),
    ],
)

"""Background jobs: waiting, running and failed; and partner feeds."""

from alerts.stock import INVARIANTS
from grafana import feeds
from grafana.page import page
from grafana.parts import BAD, GOOD, WARN, logs_link, mapping, override, series, stat, steps
from grafana.queries import or_none, query
from retail.thresholds import THRESHOLDS, in_words

EMAILS = THRESHOLDS.emails
QUEUE = THRESHOLDS.queue
AUDIT_AGE = in_words(THRESHOLDS.invariants.stale_after_seconds)
WAIT_STEPS = steps((QUEUE.warning_waiting_seconds, WARN), (QUEUE.most_waiting_seconds, BAD))
LOGS = logs_link("Logs of the jobs", logger="retail.jobs")
MAIL_LOGS = logs_link("Logs of the outbox", logger="retail.mail")
RUNS = "retail_jobs_total"

PAGE = page(
    "retail-jobs",
    "Rollups, clean-up, the audit, e-mails, and partner feeds. Placing an order depends on none of "
    "them.",
    [
        stat(
            "Worker",
            "Worker processes that Prometheus can scrape. If there are none, e-mails, audits and "
            "flash-sale payments wait: run `docker compose up -d worker`.",
            [query('count(up{job="worker"} == 1) or vector(0)', now=True)],
            thresholds=steps((1, GOOD), base=BAD),
        ),
        stat(
            "Oldest waiting job",
            "Jobs start immediately, so this is normally 0 s. Above "
            f"{in_words(QUEUE.most_waiting_seconds)}, no worker is running or one job blocks the "
            "queue. Restarting the worker is safe.",
            [query("max(retail_jobs_oldest_waiting_seconds)", now=True)],
            unit="s",
            decimals=0,
            thresholds=WAIT_STEPS,
        ),
        stat(
            "Waiting jobs",
            "Jobs that have not started, counted in the database. Normally 0 or a few. "
            "More are normal after an outage of the worker.",
            [query("max(retail_jobs_waiting)", now=True)],
            paint="value",
            thresholds=steps(base="blue"),
        ),
        stat(
            "Failed jobs",
            "In the selected time range. Normally 0. A failed job is retried. Find "
            "event=job.failed in the logs for the traceback.",
            [query(f'sum(increase({RUNS}{{outcome="failed"}}[$__range]))', now=True)],
            decimals=0,
            thresholds=steps((1, WARN)),
            links=[LOGS],
        ),
        stat(
            "Succeeded jobs",
            "All tasks, in the selected time range. Scheduled jobs run all the time: none in an "
            "hour means that the scheduler has stopped.",
            [query(f'sum(increase({RUNS}{{outcome="succeeded"}}[$__range]))', now=True)],
            decimals=0,
            paint="value",
            thresholds=steps(base="blue"),
        ),
        stat(
            "Audit",
            f"Invariants audited in the last {AUDIT_AGE}, of {len(INVARIANTS)}. If there are "
            "fewer, the worker is not running, or the gateway does not respond when the audit asks "
            "for charges.",
            [
                query(
                    "count(count by (invariant) (retail_invariant_violations))"
                    ' or max(up{job=~"web|worker"} == 1) * 0',
                    now=True,
                )
            ],
            mappings=mapping({0: ("no result", BAD)}),
            thresholds=steps((len(INVARIANTS), GOOD), base=WARN),
        ),
        series(
            "Waiting time of the oldest job",
            f"Normally 0. Above {in_words(QUEUE.most_waiting_seconds)} for "
            f"{in_words(QUEUE.for_seconds)}, RetailQueueStalled fires: the worker is down, or one "
            "job blocks it.",
            [query("max(retail_jobs_oldest_waiting_seconds)", "oldest")],
            size=(12, 8),
            unit="s",
            thresholds=WAIT_STEPS,
            soft_most=QUEUE.most_waiting_seconds,
        ),
        series(
            "Waiting jobs",
            "Normally 0 or a few. If it keeps rising, more jobs arrive than the worker can run: "
            "increase WORKER_PROCESSES.",
            [query("max(retail_jobs_waiting)", "waiting")],
            size=(12, 8),
            unit="short",
            decimals=0,
            soft_most=5,
        ),
        series(
            "Succeeded jobs per minute, by task",
            "roll_up_metrics, run_audit and settle_payments run every minute. If a task is "
            "missing, it does not run.",
            [
                query(
                    or_none(
                        f'sum by (task) (rate({RUNS}{{outcome="succeeded"}}[5m])) * 60 > 0',
                        f"sum(rate({RUNS}[5m]))",
                        "task",
                    ),
                    "{{task}}",
                )
            ],
            size=(12, 9),
            unit="short",
            stacked=True,
        ),
        series(
            "Failed jobs per minute, by task",
            "Normally none. If all tasks fail, check the database. The logs contain the traceback "
            "(event=job.failed).",
            [
                query(
                    or_none(
                        f'sum by (task) (rate({RUNS}{{outcome="failed"}}[$__rate_interval]))'
                        " * 60 > 0",
                        f"sum(rate({RUNS}[$__rate_interval]))",
                        "task",
                    ),
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
            "Age of the last success, by task",
            "As a ratio of the longest time that the periodic job may go without a success. "
            "Normally well below 100 %. Above the red line, the job has failed, hung or not run: "
            "find its event=job.failed in the logs, or restart the worker.",
            [
                query(
                    "(time() - max by (task) (retail_job_last_success_timestamp_seconds))"
                    " / on (task) max by (task) (retail_job_most_age_seconds)",
                    "{{task}}",
                )
            ],
            size=(24, 9),
            unit="percentunit",
            thresholds=steps((1, BAD)),
            soft_most=1,
            links=[LOGS],
        ),
        series(
            "E-mails waiting for the mail server",
            "Normally 0 or a few. If they pile up, the mail server does not accept them: find "
            "event=email.deferred in the logs.",
            [query("max(retail_emails_waiting)", "waiting")],
            size=(8, 8),
            unit="short",
            decimals=0,
            soft_most=5,
            links=[MAIL_LOGS],
        ),
        series(
            "Age of the oldest waiting e-mail",
            f"Normally seconds. Above {in_words(EMAILS.most_waiting_seconds)} for "
            f"{in_words(EMAILS.for_seconds)}, RetailEmailsLate fires: check the mail server.",
            [query("max(retail_emails_oldest_waiting_seconds)", "oldest")],
            size=(8, 8),
            unit="s",
            thresholds=steps((EMAILS.most_waiting_seconds, BAD)),
            soft_most=EMAILS.most_waiting_seconds,
            links=[MAIL_LOGS],
        ),
        series(
            "Attempts to send an e-mail, by outcome",
            "Per minute; normally sent. Deferred ones are tried again for a day. For given_up and "
            "uncertain ones, see E-mails in the admin; refused ones have wrong addresses.",
            [
                query(
                    "sum by (outcome) (rate(retail_emails_total[$__rate_interval])) * 60",
                    "{{outcome}}",
                )
            ],
            size=(8, 8),
            unit="short",
            stacked=True,
            links=[MAIL_LOGS],
        ),
        series(
            "p95 job duration, by task",
            "Normally below a second. The audit takes longer with more orders. A job that exceeds "
            "the queue's retry time runs twice, which is safe but wasteful.",
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
        *feeds.PANELS,
    ],
)

"""Meta-monitoring: whether metrics, logs and alerts themselves work."""

from alerts.model import span
from grafana.page import page
from grafana.parts import (
    BAD,
    GOOD,
    PLAIN,
    WARN,
    logs_link,
    mapping,
    override,
    series,
    stat,
    states,
    steps,
)
from grafana.queries import or_none, query
from grafana.status import SEVERITIES, WATCHDOG, alerts_firing, by_severity, firing_alerts
from retail.thresholds import THRESHOLDS, in_words

TELEMETRY, CLOCKS = THRESHOLDS.telemetry, THRESHOLDS.clocks
FAILING = steps((TELEMETRY.most_failures + 1, WARN))
WINDOW = span(TELEMETRY.window_seconds)
UP = mapping({0: ("DOWN", BAD), 1: ("up", GOOD)})
LOGS = logs_link("Errors in the logs", level="ERROR")
LOKI_UP = 'max(up{job="loki"} == 1)'
# A service without containers has no DNS record, and then there is no `up` series.
GONE = '(absent(up{job="web"}) or absent(up{job="worker"}))'
DOWN = f"(count(up == 0) or vector(0)) + (count({GONE}) or vector(0))"

PAGE = page(
    "retail-watch",
    "Do metrics, logs and alerts work? Scrapes, log shipping, rules and notifications.",
    [
        alerts_firing(size=(4, 4)),
        stat(
            "Watchdog",
            "An alert that always fires. If it is missing, Prometheus does not evaluate its rules: "
            "check its Rules page.",
            [query(f"{WATCHDOG} or vector(0)", now=True)],
            mappings=mapping({0: ("MISSING", BAD), 1: ("firing", GOOD)}),
        ),
        stat(
            "Targets down",
            "Processes and monitoring components that Prometheus cannot scrape. Normally 0. See "
            "the timeline below. A 401 means that METRICS_TOKEN has changed.",
            [query(DOWN, now=True)],
            thresholds=steps((1, BAD)),
        ),
        stat(
            "Telemetry failures",
            "Metric rows dropped, and failures to record metrics or log lines, in the last "
            f"{in_words(TELEMETRY.window_seconds)}. No sale is affected, but data is missing. "
            "Normally 0. Check the disk and the database.",
            [
                query(
                    f"sum(increase(retail_telemetry_errors_total[{WINDOW}]))"
                    f" + sum(increase(retail_metric_rows_dropped_total[{WINDOW}]))",
                    now=True,
                )
            ],
            decimals=0,
            thresholds=FAILING,
            links=[LOGS],
        ),
        stat(
            "Log queue usage",
            "Lines that the collector has read and Loki has not accepted, as a ratio of the "
            "queue's capacity. Normally 0 %. If it rises, Loki is unavailable. Nothing is lost "
            "until the queue is full.",
            [
                query(
                    "sum(otelcol_exporter_queue_size) / sum(otelcol_exporter_queue_capacity)",
                    now=True,
                )
            ],
            unit="percentunit",
            decimals=0,
            thresholds=steps((0.1, WARN), (0.7, BAD)),
        ),
        stat(
            "Failed notifications",
            "Alerts that Prometheus could not send to Alertmanager, or Alertmanager to its "
            "receivers, in the selected time range. Normally 0. Check Alertmanager's log: the shop "
            "may be down, or a token has changed.",
            [
                query(
                    "sum(increase(alertmanager_notifications_failed_total[$__range]))"
                    " + sum(increase(prometheus_notifications_dropped_total[$__range]))",
                    now=True,
                )
            ],
            decimals=0,
            thresholds=steps((1, WARN)),
        ),
        firing_alerts(size=(12, 8)),
        states(
            "Alerts over time",
            "When each alert fired. Alerts that start together usually have one cause. Investigate "
            "the first one first.",
            [
                query(
                    or_none(by_severity("alertname"), WATCHDOG, "alertname"),
                    "{{alertname}}",
                )
            ],
            size=(12, 8),
            mappings=mapping({**SEVERITIES, 0: (" ", "transparent")}),
        ),
        states(
            "Targets",
            "One row per job. web and worker are the shop. The others are monitoring components; "
            "while one is down, its dashboards have gaps. Check `docker compose ps`.",
            [query(f"min by (job) (up)\nor {GONE} * 0", "{{job}}")],
            size=(12, 9),
            mappings=UP,
        ),
        states(
            "Probes",
            "The shop as the blackbox exporter sees it from outside: the home page, the health "
            "endpoints of web and worker, and readiness. All are normally up. Home down while web "
            "is up: see the database and the errors.",
            [query("max by (probe) (probe_success)", "{{probe}}")],
            size=(12, 9),
            mappings=UP,
        ),
        series(
            "Clock difference",
            "Between each process and Prometheus, positive if the process is ahead. Normally "
            "within a few seconds. Beyond the dashed lines, ages, leases and flash-sale times are "
            "wrong.",
            [
                query(
                    "retail_clock_timestamp_seconds - timestamp(retail_clock_timestamp_seconds)",
                    "{{job}} {{instance}}",
                )
            ],
            size=(12, 9),
            unit="s",
            least=None,
            soft_most=CLOCKS.most_seconds,
            soft_least=-CLOCKS.most_seconds,
            thresholds=steps((-CLOCKS.most_seconds, GOOD), (CLOCKS.most_seconds, BAD), base=BAD),
        ),
        series(
            "Scrape duration",
            "Normally below 0.2 s. Above the scrape timeout (5 s for the shop), the target counts "
            "as down. Scrapes of web are slow with many processes, or when the database does not "
            "respond.",
            [query("max by (job) (scrape_duration_seconds)", "{{job}}")],
            size=(12, 9),
            unit="s",
        ),
        series(
            "Telemetry failures per minute",
            "Errors by sink, and dropped rows. Normally 0. rows and dropped rows: the database is "
            "unavailable. log: the disk is full. collector: a query for a database gauge fails.",
            [
                query(
                    "sum by (sink) (rate(retail_telemetry_errors_total[$__rate_interval])) * 60",
                    "{{sink}}",
                ),
                query(
                    "sum(rate(retail_metric_rows_dropped_total[$__rate_interval])) * 60",
                    "dropped rows",
                ),
            ],
            unit="short",
            soft_most=2,
            links=[LOGS],
        ),
        series(
            "Log queue",
            "Log lines on disk that Loki has not accepted. Rises while Loki is unavailable and "
            "drains afterwards. When the queue is full, the collector stops reading the log files.",
            [
                query("sum(otelcol_exporter_queue_size)", "waiting"),
            ],
            unit="short",
            decimals=0,
            soft_most=10,
        ),
        series(
            "Log lines per second",
            "Lines read by the collector and accepted by Loki. Normally both are the same. Loki "
            "rejects lines that are too old or too many. Its log shows the reason.",
            [
                query("sum(rate(otelcol_receiver_accepted_log_records[$__rate_interval]))", "read"),
                query(
                    "sum(rate(loki_distributor_lines_received_total[$__rate_interval]))",
                    "accepted",
                ),
                query(
                    f"sum(rate(loki_discarded_samples_total[$__rate_interval])) or {LOKI_UP} * 0",
                    "rejected",
                ),
            ],
            unit="ops",
            overrides=[override("rejected", color={"mode": "fixed", "fixedColor": BAD})],
        ),
        series(
            "Rule evaluation failures per minute",
            "Normally 0. An alert whose rule fails cannot fire. The Rules page of Prometheus shows "
            "the error.",
            [
                query(
                    "sum(rate(prometheus_rule_evaluation_failures_total[$__rate_interval])) * 60",
                    "Prometheus",
                ),
                query(
                    "sum(rate(loki_prometheus_rule_evaluation_failures_total"
                    "[$__rate_interval])) * 60"
                    f" or {LOKI_UP} * 0",
                    "Loki",
                ),
            ],
            unit="short",
            soft_most=2,
        ),
        series(
            "Notifications per minute",
            "Sent by Alertmanager, and failed. Watchdog alone causes about one per minute. If "
            "there are none, no alerts reach Alertmanager.",
            [
                query("sum(increase(alertmanager_notifications_total[5m])) / 5", "sent"),
                query(
                    "sum(increase(alertmanager_notifications_failed_total[5m])) / 5",
                    "failed",
                ),
            ],
            unit="short",
            overrides=[override("sent", color={"mode": "fixed", "fixedColor": GOOD})],
        ),
        series(
            "Active series",
            "Series in Prometheus. Normally constant. If it keeps rising, a label has unbounded "
            "values, such as addresses or ids, and Prometheus will run out of memory.",
            [query("max(prometheus_tsdb_head_series)", "series")],
            unit="short",
            overrides=[override("series", color={"mode": "fixed", "fixedColor": PLAIN})],
        ),
    ],
)

"""Watching the watch: whether what tells of the shop works itself."""

from grafana.page import page
from grafana.parts import (
    BAD,
    GOOD,
    PLAIN,
    WARN,
    link,
    mapping,
    override,
    query,
    series,
    stat,
    states,
    steps,
    table,
    window,
)
from grafana.shared import firing
from retail.thresholds import THRESHOLDS

TELEMETRY = THRESHOLDS.telemetry
FAILING = steps((TELEMETRY.most_failures + 1, WARN))
RANGE = window(TELEMETRY.window_seconds)
UP = mapping({0: ("DOWN", BAD), 1: ("up", GOOD)})
SEVERITIES = mapping({1: ("ticket", WARN), 2: ("warning", WARN), 3: ("critical", BAD)})
ALERT = 'alertstate="firing",alertname!="Watchdog"'
LOGS = link("Errors of the shop's own watching", "retail-logs", "&var-level=ERROR")

PAGE = page(
    "retail-watch",
    "Can the other dashboards be believed? What is scraped, shipped, evaluated and delivered.",
    [
        stat(
            "Alerts firing",
            "Normally none. Which: the list below; each has a runbook in the shop under "
            "/metrics/alerts/.",
            [
                query(firing("critical"), "critical", now=True),
                query(firing("warning|ticket"), "others", now=True),
            ],
            thresholds=steps((1, WARN)),
            overrides=[
                override("critical", thresholds={"mode": "absolute", "steps": steps((1, BAD))})
            ],
        ),
        stat(
            "Watchdog",
            "An alert that fires always, so that its absence shows. Missing: Prometheus does not "
            "evaluate its rules; look at its Rules page.",
            [
                query(
                    'count(ALERTS{alertname="Watchdog",alertstate="firing"}) or vector(0)', now=True
                )
            ],
            mappings=mapping({0: ("MISSING", BAD), 1: ("firing", GOOD)}),
        ),
        stat(
            "Targets down",
            "Processes and parts of the watch that do not answer Prometheus. Normally 0; the "
            "bands below say which. A 401 means that METRICS_TOKEN has changed.",
            [query("count(up == 0) or vector(0)", now=True)],
            thresholds=steps((1, BAD)),
        ),
        stat(
            "Own failures",
            "Rows of the in-app pages dropped and failures of the shop's own watching in "
            f"{RANGE}. No sale is harmed, but numbers are missing. Normally 0; often the disk or "
            "the database.",
            [
                query(
                    f"sum(increase(retail_telemetry_errors_total[{RANGE}]))"
                    f" + sum(increase(retail_metric_rows_dropped_total[{RANGE}]))",
                    now=True,
                )
            ],
            decimals=0,
            thresholds=FAILING,
            links=[LOGS],
        ),
        stat(
            "Log queue filled",
            "Lines read by the collector and not yet taken by Loki, of those that it can keep. "
            "Normally 0 %. Climbing: Loki is away; nothing is lost while the queue has room.",
            [
                query(
                    "sum(otelcol_exporter_queue_size) / sum(otelcol_exporter_queue_capacity)",
                    now=True,
                )
            ],
            unit="percentunit",
            decimals=0,
            thresholds=steps((0.1, WARN), (0.7, BAD)),
            no_value="unknown",
        ),
        stat(
            "Messages not delivered",
            "Alerts that Prometheus could not hand to Alertmanager, or Alertmanager to its "
            "receivers, in the time range above. Normally 0. See Alertmanager's log: the shop, "
            "or a changed token.",
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
        table(
            "Alerts that fire now",
            "Empty is well. Otherwise: the worst first; its runbook is in the shop, under "
            "/metrics/runbooks/ and the alert's name.",
            [query(f"max by (alertname, severity, service, job) (ALERTS{{{ALERT}}})", now=True)],
            size=(8, 8),
            unit="string",
            hide=["Value"],
            columns={
                "severity": "Severity",
                "alertname": "Alert",
                "service": "Concerns",
                "job": "Job",
            },
            overrides=[
                override(
                    "Severity",
                    custom__width=90,
                    mappings=[
                        {
                            "type": "value",
                            "options": {
                                "critical": {"color": BAD, "index": 0, "text": "critical"},
                                "warning": {"color": WARN, "index": 1, "text": "warning"},
                                "ticket": {"color": WARN, "index": 2, "text": "ticket"},
                            },
                        }
                    ],
                    custom__cellOptions={"type": "color-background", "mode": "basic"},
                ),
            ],
            sort=[{"displayName": "Severity", "desc": False}],
            no_value="None: all is well",
        ),
        states(
            "Alerts over time",
            "When each alert fired. Several that begin together have one cause: begin with the "
            "first.",
            [
                query(
                    f'max by (alertname) (ALERTS{{{ALERT},severity="ticket"}}'
                    f' or 2 * ALERTS{{{ALERT},severity="warning"}}'
                    f' or 3 * ALERTS{{{ALERT},severity="critical"}})'
                    '\nor label_replace(vector(0), "alertname", "none", "", "")',
                    "{{alertname}}",
                )
            ],
            size=(16, 8),
            mappings=[*SEVERITIES, *mapping({0: (" ", "transparent")})],
        ),
        states(
            "What answers Prometheus",
            "One band a process or part. web or worker down: the shop; the rest: a part of the "
            "watch, whose dashboards are blind meanwhile. `docker compose ps`.",
            [query("min by (job) (up)", "{{job}}")],
            size=(12, 9),
            mappings=UP,
        ),
        series(
            "Time of a scrape",
            "Normally below 0.2 s. Beyond the scrape's time limit (5 s for the shop) the target "
            "counts as down: web with many processes' files, or a database that does not answer.",
            [query("max by (job) (scrape_duration_seconds)", "{{job}}")],
            size=(12, 9),
            unit="s",
        ),
        series(
            "The shop's own failures per minute",
            "Rows dropped, and errors by sink. Normally 0. rows and dropped: the database is "
            "away; log: the disk is full; collector: a query of the truth gauges fails.",
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
            "Collector's queue",
            "Log lines on disk that Loki has not taken. Climbs while Loki is away, falls by "
            "itself; at its capacity the collector stops reading, and the files wait.",
            [
                query("sum(otelcol_exporter_queue_size)", "waiting"),
            ],
            unit="short",
            decimals=0,
            soft_most=10,
        ),
        series(
            "Log lines per second",
            "Read by the collector, and taken by Loki: the two follow each other. Refused by "
            "Loki: too old or too many; its log says why.",
            [
                query("sum(rate(otelcol_receiver_accepted_log_records[$__rate_interval]))", "read"),
                query(
                    "sum(rate(loki_distributor_lines_received_total[$__rate_interval]))",
                    "taken by Loki",
                ),
                query(
                    "sum(rate(loki_discarded_samples_total[$__rate_interval])) or vector(0)",
                    "refused",
                ),
            ],
            unit="ops",
            overrides=[override("refused", color={"mode": "fixed", "fixedColor": BAD})],
        ),
        series(
            "Rules that could not be evaluated, per minute",
            "Normally 0. Each is an alert that cannot fire: the Rules page of Prometheus has the "
            "error.",
            [
                query(
                    "sum(rate(prometheus_rule_evaluation_failures_total[$__rate_interval])) * 60",
                    "Prometheus",
                ),
                query(
                    "sum(rate(loki_prometheus_rule_evaluation_failures_total"
                    "[$__rate_interval])) * 60"
                    " or vector(0)",
                    "Loki",
                ),
            ],
            unit="short",
            soft_most=2,
        ),
        series(
            "Notifications per minute",
            "Sent by Alertmanager, and failed. The watchdog alone makes about one a minute; none "
            "at all: nothing reaches Alertmanager.",
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
            "Series in Prometheus",
            "Normally level. A climb: a label has got values without end (an address, an id); it "
            "costs memory until Prometheus is killed.",
            [query("max(prometheus_tsdb_head_series)", "series")],
            unit="short",
            overrides=[override("series", color={"mode": "fixed", "fixedColor": PLAIN})],
        ),
    ],
)

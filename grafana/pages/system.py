"""PostgreSQL and processes: utilization, saturation and errors."""

from grafana.page import page
from grafana.parts import BAD, GOOD, PLAIN, WARN, mapping, override, series, stat, steps
from grafana.queries import or_none, query
from retail.thresholds import THRESHOLDS

DB = 'datname!~"|postgres|template.*"'
BACKUPS = THRESHOLDS.backups
DISK = THRESHOLDS.disk
UP = mapping({0: ("DOWN", BAD), 1: ("up", GOOD)})
BUSY = steps((0.7, WARN), (0.9, BAD))
CONNECTIONS = "sum(pg_stat_database_numbackends)"
MAX_CONNECTIONS = "max(pg_settings_max_connections)"
PROCESSES = 'job=~"web|gateway|prometheus|loki|alertmanager|grafana"'


def fixed(name: str, colour: str) -> dict[str, object]:
    """Return the override that gives a series a colour."""
    return override(name, color={"mode": "fixed", "fixedColor": colour})


PAGE = page(
    "retail-system",
    "PostgreSQL and processes: utilization, saturation and errors.",
    [
        stat(
            "PostgreSQL",
            "Whether postgres-exporter can log in. If it is down, every page returns 503. Check "
            "`docker compose ps db`, `docker compose logs db` and the disk space.",
            [query("max(pg_up)", now=True)],
            mappings=UP,
            thresholds=steps((1, GOOD), base=BAD),
        ),
        stat(
            "Web processes",
            "Web processes that Prometheus can scrape. If there are none, nobody can buy. Check "
            "`docker compose ps web`.",
            [query('count(up{job="web"} == 1) or vector(0)', now=True)],
            thresholds=steps((1, GOOD), base=BAD),
        ),
        stat(
            "Worker processes",
            "Worker processes that Prometheus can scrape. If there are none, flash-sale payments, "
            "e-mails and audits wait. Check `docker compose ps worker`.",
            [query('count(up{job="worker"} == 1) or vector(0)', now=True)],
            thresholds=steps((1, GOOD), base=BAD),
        ),
        stat(
            "Connections in use",
            "Ratio of open to allowed connections. Normally below 50 %. Near 100 %, there are too "
            "many web processes for the database: raise max_connections or add a connection pooler."
            "",
            [query(f"{CONNECTIONS} / {MAX_CONNECTIONS}", now=True)],
            unit="percentunit",
            decimals=0,
            thresholds=BUSY,
        ),
        stat(
            "Cache hit ratio",
            "Ratio of blocks that PostgreSQL found in its cache, over the last 5 minutes. Normally "
            "above 99 %. If it is lower, the tables have outgrown shared_buffers, or a query scans "
            "a whole table.",
            [
                query(
                    f"sum(increase(pg_stat_database_blks_hit{{{DB}}}[5m])) / "
                    f"(sum(increase(pg_stat_database_blks_hit{{{DB}}}[5m])) + "
                    f"sum(increase(pg_stat_database_blks_read{{{DB}}}[5m])))",
                    now=True,
                )
            ],
            unit="percentunit",
            decimals=1,
            thresholds=steps((0.9, WARN), (0.99, GOOD), base=BAD),
        ),
        stat(
            "Database size",
            "On disk. Grows with orders and metric rows, which are kept for 90 days. After a "
            "sudden increase, find the table that grew and check the free disk space.",
            [query(f"sum(pg_database_size_bytes{{{DB}}})", now=True)],
            unit="bytes",
            paint="value",
            thresholds=steps(base=PLAIN),
        ),
        series(
            "Utilization: busy sessions",
            "Seconds of statement execution per second: 1 is one session that is always busy. "
            "Above the number of cores, statements wait for each other.",
            [
                query(
                    f"sum(rate(pg_stat_database_active_time_seconds_total{{{DB}}}[$__rate_interval]))",
                    "busy sessions",
                )
            ],
            unit="short",
        ),
        series(
            "Saturation: connections",
            "Open connections and PostgreSQL's limit. If open connections rise while traffic does "
            "not, connections are leaking.",
            [
                query(CONNECTIONS, "open"),
                query(MAX_CONNECTIONS, "allowed"),
            ],
            unit="short",
            decimals=0,
            overrides=[fixed("allowed", BAD), fixed("open", PLAIN)],
        ),
        series(
            "Errors: rollbacks and deadlocks",
            "Per minute. Deadlocks are normally 0, because products are locked in a fixed order. "
            "Rejected checkouts cause rollbacks. Many rollbacks without a sale are errors: see "
            "Logs.",
            [
                query(
                    f"sum(rate(pg_stat_database_xact_rollback{{{DB}}}[$__rate_interval])) * 60",
                    "rollbacks",
                ),
                query(
                    f"sum(rate(pg_stat_database_deadlocks{{{DB}}}[$__rate_interval])) * 60",
                    "deadlocks",
                ),
            ],
            unit="short",
            soft_most=2,
            overrides=[fixed("rollbacks", WARN), fixed("deadlocks", BAD)],
        ),
        series(
            "Transactions",
            "Commits per second. Normally follows traffic. If it is far higher, look for a job or "
            "a script.",
            [
                query(
                    f"sum(rate(pg_stat_database_xact_commit{{{DB}}}[$__rate_interval]))",
                    "committed",
                )
            ],
            unit="ops",
            overrides=[fixed("committed", GOOD)],
        ),
        series(
            "Queries and new connections",
            "Statements per second from web and worker, and new connections. Connections are "
            "reused, so new ones are rare. Many new connections make requests much slower.",
            [
                query("sum by (job) (rate(django_db_execute_total[$__rate_interval]))", "{{job}}"),
                query(
                    "sum(rate(django_db_new_connections_total[$__rate_interval]))",
                    "new connections",
                ),
            ],
            unit="ops",
            overrides=[fixed("new connections", WARN)],
        ),
        series(
            "p95 query duration",
            "As measured by web and worker, including waits. Normally below 25 ms. If it is slower "
            "while the database is idle, check the network and the locks below.",
            [
                query(
                    "histogram_quantile(0.95, sum by (le, job) "
                    "(rate(django_db_query_duration_seconds_bucket[$__rate_interval])))",
                    "{{job}}",
                )
            ],
            unit="s",
        ),
        series(
            "Locks",
            "Held or awaited locks at the time of the scrape, by mode. Row locks come and go with "
            "orders. A lasting accessexclusivelock blocks all queries: check for a migration.",
            [
                query(
                    or_none(
                        f"sum by (mode) (pg_locks_count{{{DB}}}) > 0",
                        f"sum(pg_locks_count{{{DB}}})",
                        "mode",
                    ),
                    "{{mode}}",
                )
            ],
            unit="short",
            decimals=0,
            stacked=True,
        ),
        series(
            "Utilization: CPU",
            "CPU cores that each service uses. A Python process can use 1 at most: then start "
            "another web container. The worker runs several processes and does not report CPU.",
            [
                query(
                    "sum by (job) "
                    f"(rate(process_cpu_seconds_total{{{PROCESSES}}}[$__rate_interval]))",
                    "{{job}}",
                ),
                query("sum(rate(otelcol_process_cpu_seconds[$__rate_interval]))", "collector"),
            ],
            unit="short",
        ),
        series(
            "Saturation: memory",
            "Resident memory of each process. A container above its limit (docker-compose.yml) is "
            "killed. Memory that only rises is a leak.",
            [
                query(f"max by (job) (process_resident_memory_bytes{{{PROCESSES}}})", "{{job}}"),
                query("max(otelcol_process_memory_rss)", "collector"),
            ],
            unit="bytes",
        ),
        series(
            "Saturation: disks",
            "Ratio of used to available space of the disks with the database, the shop's files, "
            "its logs and the metrics. When the database's disk is full, nobody can buy. An alert "
            "fires above the dashed lines.",
            [
                query(
                    'label_replace(1 - node_filesystem_avail_bytes{mountpoint=~"/disks/.+"}'
                    " / node_filesystem_size_bytes, "
                    '"disk", "$1", "mountpoint", "/disks/(.+)")',
                    "{{disk}}",
                )
            ],
            unit="percentunit",
            soft_most=1,
            thresholds=steps((1 - DISK.warning_free_ratio, WARN), (1 - DISK.least_free_ratio, BAD)),
        ),
        series(
            "Saturation: open files",
            "Ratio of open to allowed file descriptors. Normally a few per cent. If it keeps "
            "rising, files or connections are leaking.",
            [
                query(
                    f"max by (job) (process_open_fds{{{PROCESSES}}} / "
                    f"process_max_fds{{{PROCESSES}}})",
                    "{{job}}",
                )
            ],
            unit="percentunit",
            thresholds=BUSY,
            soft_most=0.9,
        ),
        series(
            "Requests in progress",
            "Requests being handled at the same time, in all processes. Above the number of "
            "threads (8 per process), requests queue.",
            [query("sum(retail_http_requests_in_progress)", "in progress")],
            unit="short",
            decimals=0,
            soft_most=8,
        ),
        series(
            "Age of the last backup",
            "What would be lost if the database were lost now. Normally the time between two "
            "backups. Above the red line, RetailBackupOld fires in production: run make backup, "
            "and read what it says.",
            [
                query("time() - max(retail_backup_last_success_timestamp_seconds)", "age"),
            ],
            unit="s",
            thresholds=steps((BACKUPS.most_age_seconds, BAD)),
            soft_most=BACKUPS.most_age_seconds,
        ),
    ],
)

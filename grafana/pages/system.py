"""What the shop runs on: PostgreSQL and the processes; use, saturation, errors."""

from grafana.page import page
from grafana.parts import BAD, GOOD, PLAIN, WARN, mapping, override, query, series, stat, steps

OURS = 'datname!~"|postgres|template.*"'
UP = mapping({0: ("DOWN", BAD), 1: ("up", GOOD)})
BUSY = steps((0.7, WARN), (0.9, BAD))
CONNECTIONS = "sum(pg_stat_database_numbackends)"
ROOM = "max(pg_settings_max_connections)"
PROCESSES = 'job=~"web|gateway|prometheus|loki|alertmanager|grafana"'


def fixed(name: str, colour: str) -> dict[str, object]:
    """Return a series in a colour."""
    return override(name, color={"mode": "fixed", "fixedColor": colour})


PAGE = page(
    "retail-system",
    "PostgreSQL and the processes: how busy, how full, what fails.",
    [
        stat(
            "PostgreSQL",
            "Whether its exporter can log in. Down: the shop answers 503 to everybody. `docker "
            "compose ps db`; `docker compose logs db`; is the disk full?",
            [query("max(pg_up) or vector(0)", now=True)],
            mappings=UP,
            thresholds=steps((1, GOOD), base=BAD),
        ),
        stat(
            "Web processes",
            "Processes of the shop that Prometheus can read. None: nobody can buy. `docker "
            "compose ps web`.",
            [query('count(up{job="web"} == 1) or vector(0)', now=True)],
            thresholds=steps((1, GOOD), base=BAD),
        ),
        stat(
            "Worker processes",
            "That Prometheus can read. None: flash payments, letters and audits wait. `docker "
            "compose ps worker`.",
            [query('count(up{job="worker"} == 1) or vector(0)', now=True)],
            thresholds=steps((1, GOOD), base=BAD),
        ),
        stat(
            "Connections in use",
            "Of those that PostgreSQL allows. Normally below half. Near 100 %: more web "
            "processes than the database has room for; raise max_connections or put a pooler in "
            "between.",
            [query(f"{CONNECTIONS} / {ROOM}", now=True)],
            unit="percentunit",
            decimals=0,
            thresholds=BUSY,
            no_value="unknown",
        ),
        stat(
            "Read from memory",
            "Blocks that PostgreSQL found in its cache, over the last 5 minutes. Normally above "
            "99 %. Lower: the tables have outgrown shared_buffers, or a query reads a whole "
            "table.",
            [
                query(
                    f"sum(increase(pg_stat_database_blks_hit{{{OURS}}}[5m])) / "
                    f"(sum(increase(pg_stat_database_blks_hit{{{OURS}}}[5m])) + "
                    f"sum(increase(pg_stat_database_blks_read{{{OURS}}}[5m])))",
                    now=True,
                )
            ],
            unit="percentunit",
            decimals=1,
            thresholds=steps((0.9, WARN), (0.99, GOOD), base=BAD),
            no_value="unknown",
        ),
        stat(
            "Size of the database",
            "On disk. Grows with orders and metric rows (kept 90 days). A jump: something floods "
            "a table; compare with the disk's room.",
            [query(f"sum(pg_database_size_bytes{{{OURS}}})")],
            unit="bytes",
            paint="value",
            graph="area",
            thresholds=steps(base=PLAIN),
        ),
        series(
            "Use: time that PostgreSQL works for the shop",
            "Seconds of statements per second, so 1 is one session busy all the time. Beyond the "
            "number of cores, statements wait for each other.",
            [
                query(
                    f"sum(rate(pg_stat_database_active_time_seconds_total{{{OURS}}}[$__rate_interval]))",
                    "busy sessions",
                )
            ],
            unit="short",
        ),
        series(
            "Saturation: connections",
            "Open connections against what PostgreSQL allows. A climb without more visitors: "
            "connections are not given back.",
            [
                query(CONNECTIONS, "open"),
                query(ROOM, "allowed"),
            ],
            unit="short",
            decimals=0,
            overrides=[fixed("allowed", BAD), fixed("open", PLAIN)],
        ),
        series(
            "Errors: rollbacks and deadlocks",
            "Per minute. Deadlocks normally 0: products are locked in one order. Rollbacks "
            "follow refused checkouts; without a sale many of them are errors in the shop's log.",
            [
                query(
                    f"sum(rate(pg_stat_database_xact_rollback{{{OURS}}}[$__rate_interval])) * 60",
                    "rollbacks",
                ),
                query(
                    f"sum(rate(pg_stat_database_deadlocks{{{OURS}}}[$__rate_interval])) * 60",
                    "deadlocks",
                ),
            ],
            unit="short",
            soft_most=2,
            overrides=[fixed("rollbacks", WARN), fixed("deadlocks", BAD)],
        ),
        series(
            "Transactions",
            "Committed per second. Follows the visitors; far more than they explain is a job or "
            "a script.",
            [
                query(
                    f"sum(rate(pg_stat_database_xact_commit{{{OURS}}}[$__rate_interval]))",
                    "committed",
                )
            ],
            unit="ops",
            overrides=[fixed("committed", GOOD)],
        ),
        series(
            "The shop's queries",
            "Statements per second that web and worker sent, and new connections. New "
            "connections are rare, since they are kept; many cost an order of magnitude of "
            "speed.",
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
            "Time of the shop's queries",
            "As web and worker see them, waiting included, 95 of 100. Normally below 25 ms. "
            "Slower with a calm database: the network, or a lock; see the locks below.",
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
            "Held or waited for, by kind, at the moment of the scrape. Row locks come and go "
            "with orders. Any accessexclusivelock that stays blocks everybody: a migration?",
            [query(f"sum by (mode) (pg_locks_count{{{OURS}}}) > 0", "{{mode}}")],
            unit="short",
            decimals=0,
            stacked=True,
            no_value="No locks in this time",
        ),
        series(
            "Use: processors",
            "Cores that a process uses. 1 is all that a Python process can have: then start "
            "another web container. The worker is several processes and has no such number.",
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
            "Resident memory of each process; compose gives each a limit (docker-compose.yml) "
            "and kills it beyond. A slope that never falls is a leak.",
            [
                query(f"max by (job) (process_resident_memory_bytes{{{PROCESSES}}})", "{{job}}"),
                query("max(otelcol_process_memory_rss)", "collector"),
            ],
            unit="bytes",
        ),
        series(
            "Saturation: open files",
            "Of those that a process may open. Normally a few per cent; a climb means that "
            "connections are not closed.",
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
            "Being answered at the same time, by all processes. At the number of threads (8 a "
            "process) visitors wait in line.",
            [query("sum(retail_http_requests_in_progress)", "in progress")],
            unit="short",
            decimals=0,
            soft_most=8,
        ),
        series(
            "Cache",
            "Lookups per second in Django's cache (throttle counts). With several processes it "
            "must be Valkey (CACHE_URL), or each counts for itself.",
            [
                query(
                    "sum(rate(django_cache_get_hits_total[$__rate_interval])) or vector(0)", "hits"
                ),
                query(
                    "sum(rate(django_cache_get_misses_total[$__rate_interval])) or vector(0)",
                    "misses",
                ),
            ],
            unit="ops",
            overrides=[fixed("hits", GOOD), fixed("misses", PLAIN)],
        ),
    ],
)

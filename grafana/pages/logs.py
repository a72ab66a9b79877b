"""Logs of shop, proxy and gateway, by request, order, level and logger."""

from grafana.page import choice, page, text_field
from grafana.parts import PLAIN, WARN, panel, series, stat, steps
from grafana.queries import LOKI, log_query
from retail.thresholds import THRESHOLDS, in_words

LINES = THRESHOLDS.log_errors
STREAMS = 'service_name=~"$service",level=~"$level",logger=~"$logger"'
# An empty field matches everything. Of an id, a prefix is enough.
TEXT = "|~ `${text}`"
FILTER = "request_id=~`${request_id}.*` | order_ref=~`${order_ref}.*`"
# Without `keep`, every request_id would become its own series.
COUNT = f"{{{STREAMS}}} {TEXT} | {FILTER} | keep %s"


def values(label: str) -> dict[str, object]:
    """Return the query of a variable that lists the values of a label."""
    return {
        "label": label,
        "refId": "LokiVariableQueryEditor-VariableQuery",
        "stream": "",
        "type": 1,
    }


def lines(level: str, label: str = "level") -> str:
    """Return a query for the selected lines at a level, by a label."""
    selector = f'{{service_name=~"$service",logger=~"$logger",level=~"{level}"}}'
    return f"{selector} {TEXT} | {FILTER} | keep {label}"


def lines_of(level: str) -> str:
    """Return the number of selected lines at a level; 0 only if there are lines at any level."""
    count = "sum(count_over_time({} [$__range]))"
    return f"{count.format(lines(level))} or {count.format(lines('.+'))} * 0"


PAGE = page(
    "retail-logs",
    "Logs of web, worker, proxy and gateway. To see one request or order, paste its id above. Text "
    'is a regular expression, such as "status":5 for failed requests.',
    [
        stat(
            "Errors",
            "Selected lines at level ERROR and CRITICAL. Normally 0: every ERROR needs attention. "
            f"RetailLogErrorsBurst fires above {LINES.most_lines} in "
            f"{in_words(LINES.window_seconds)}.",
            [log_query(lines_of("ERROR|CRITICAL"), now=True)],
            size=(3, 8),
            decimals=0,
            thresholds=steps((1, WARN), (LINES.most_lines + 1, "red")),
        ),
        stat(
            "Warnings",
            "Selected lines at level WARNING: failed calls to the gateway, 5xx, the circuit "
            "breaker. A few are normal. docs/logging.md explains each event.",
            [log_query(lines_of("WARNING"), now=True)],
            size=(3, 8),
            decimals=0,
            thresholds=steps((1, WARN)),
        ),
        stat(
            "All lines",
            "Selected lines at all selected levels. 0 while the shop has visitors means that no "
            "logs arrive in Loki: see the Monitoring dashboard.",
            [
                log_query(
                    f"sum(count_over_time({COUNT % 'level'} [$__range])) or vector(0)", now=True
                )
            ],
            size=(3, 8),
            paint="value",
            decimals=0,
            thresholds=steps(base=PLAIN),
        ),
        series(
            "Lines per minute, by level",
            "Normally INFO only. After a burst of ERROR, select that level above and start with "
            "the first line.",
            [log_query(f"sum by (level) (rate({COUNT % 'level'} [$__auto])) * 60", "{{level}}")],
            size=(8, 8),
            unit="short",
            stacked=True,
            bars=True,
        ),
        series(
            "Warnings and errors per minute, by logger",
            "Normally none. retail.payments points to the gateway, retail.observability logs 5xx "
            "responses, and django.* points to a bug or the database.",
            [
                log_query(
                    f"sum by (logger) (rate({lines('WARNING|ERROR|CRITICAL', 'logger')}"
                    " [$__auto])) * 60",
                    "{{logger}}",
                )
            ],
            size=(7, 8),
            unit="short",
            stacked=True,
            bars=True,
        ),
        panel(
            "logs",
            "Lines",
            "Newest first. Open a line to see its fields. The request_id links to all lines of "
            "that request from web, worker, proxy and gateway. If there are no lines, widen the "
            "time range or clear the filters above.",
            [
                log_query(
                    f"{{{STREAMS}}} {TEXT} | {FILTER}"
                    ' | json event="message", fields="extra"'
                    ' | line_format "{{.service_name}}  {{.level}}  {{.event}}  {{.fields}}"'
                )
            ],
            size=(24, 20),
            options={
                "dedupStrategy": "none", "enableLogDetails": True, "prettifyLogMessage": False,
                "showCommonLabels": False, "showLabels": False, "showTime": True,
                "sortOrder": "Descending", "wrapLogMessage": True,
            },
        ),
    ],
    variables=[
        text_field("request_id", "Request id"),
        text_field("order_ref", "Order"),
        text_field("text", "Text (regex)"),
        choice("service", "Service", LOKI, values("service_name")),
        choice("level", "Level", LOKI, values("level")),
        choice("logger", "Logger", LOKI, values("logger")),
    ],
)  # fmt: skip

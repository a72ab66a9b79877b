"""The log lines of shop and gateway: by request, order, level and logger."""

from grafana.page import choice, page, text_field
from grafana.parts import LOKI, PLAIN, WARN, log_query, panel, series, stat, steps
from retail.thresholds import THRESHOLDS, in_words

LINES = THRESHOLDS.log_errors
STREAMS = 'service_name=~"$service",level=~"$level",logger=~"$logger"'
# An empty field is any; what is typed may be the beginning.
WANTED = "request_id=~`${request_id}.*` | order_ref=~`${order_ref}.*`"
# Without `keep` every request_id would become a series of its own.
COUNT = f"{{{STREAMS}}} | {WANTED} | keep %s"


def values(label: str) -> dict[str, object]:
    """Return the query of a variable: the values that a label has."""
    return {
        "label": label,
        "refId": "LokiVariableQueryEditor-VariableQuery",
        "stream": "",
        "type": 1,
    }


def lines_of(level: str) -> str:
    """Return how many lines of a level there are among those that are chosen."""
    chosen = f'{{service_name=~"$service",logger=~"$logger",level=~"{level}"}}'
    return f"sum(count_over_time({chosen} | {WANTED} | keep level [$__range])) or vector(0)"


PAGE = page(
    "retail-logs",
    "What web, worker and gateway wrote. One request or one order: paste its id above.",
    [
        stat(
            "Errors",
            "Lines of level ERROR and CRITICAL among those chosen, in the time range above. "
            f"Normally 0: an ERROR is something to look at now. More than {LINES.most_lines} in "
            f"{in_words(LINES.window_seconds)} is an alert.",
            [log_query(lines_of("ERROR|CRITICAL"), now=True)],
            size=(3, 8),
            decimals=0,
            thresholds=steps((1, WARN), (LINES.most_lines + 1, "red")),
        ),
        stat(
            "Warnings",
            "Lines of level WARNING: calls without an answer, 5xx, the breaker. A few are "
            "normal; what they say is docs/logging.md's.",
            [log_query(lines_of("WARNING"), now=True)],
            size=(3, 8),
            decimals=0,
            thresholds=steps((1, WARN)),
        ),
        stat(
            "All lines",
            "Of the chosen levels, in the time range above. 0 while the shop has visitors: "
            "nothing arrives in Loki; see Watching the watch.",
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
            "Normally INFO only. A burst of ERROR: choose that level above and read the first of "
            "them.",
            [log_query(f"sum by (level) (rate({COUNT % 'level'} [$__auto])) * 60", "{{level}}")],
            size=(8, 8),
            unit="short",
            stacked=True,
            bars=True,
            no_value="No line in this time",
        ),
        series(
            "Warnings and errors per minute, by logger",
            "Who complains: retail.payments is the gateway's side, retail.observability are "
            "answers 5xx, django.* is a bug or the database. Normally none.",
            [
                log_query(
                    'sum by (logger) (rate({service_name=~"$service",logger=~"$logger",'
                    f'level=~"WARNING|ERROR|CRITICAL"}} | {WANTED} | keep logger [$__auto])) * 60',
                    "{{logger}}",
                )
            ],
            size=(7, 8),
            unit="short",
            stacked=True,
            bars=True,
            no_value="None in this time",
        ),
        panel(
            "logs",
            "Lines",
            "Newest first. Open a line for its fields; its request_id has a link to all lines of "
            "that request, in web, worker and gateway. Nothing: widen the time range or clear "
            "the fields above.",
            [
                log_query(
                    f"{{{STREAMS}}} | {WANTED}"
                    ' | json event="message", facts="extra"'
                    ' | line_format "{{.service_name}}  {{.level}}  {{.event}}  {{.facts}}"'
                )
            ],
            size=(24, 20),
            options={
                "dedupStrategy": "none", "enableLogDetails": True, "prettifyLogMessage": False,
                "showCommonLabels": False, "showLabels": False, "showTime": True,
                "sortOrder": "Descending", "wrapLogMessage": True,
            },
            no_value="No line in this time",
        ),
    ],
    variables=[
        text_field("request_id", "Request id"),
        text_field("order_ref", "Order"),
        choice("service", "Service", LOKI, values("service_name")),
        choice("level", "Level", LOKI, values("level")),
        choice("logger", "Logger", LOKI, values("logger")),
    ],
)  # fmt: skip

"""Building blocks of dashboards: small functions that return Grafana's classic JSON.

Colours mean the same everywhere: green is healthy, orange needs watching, red needs action, blue is
a number without an evaluation, grey is unimportant, or unknown because there is no data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from grafana.queries import Json, query, while_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


GOOD, WARN, BAD, PLAIN, QUIET = "green", "orange", "red", "blue", "#8e8e8e"
# A series with this name has this colour on every dashboard.
COLOURS = {
    "confirmed": GOOD, "completed": GOOD, "approved": GOOD, "succeeded": GOOD, "2xx": GOOD,
    "good": GOOD, "sold_out": PLAIN, "3xx": PLAIN, "1xx": QUIET, "cancelled": QUIET,
    "pending": "light-green",
    "payment_declined": WARN, "declined": WARN, "4xx": WARN, "timeout": "purple",
    "payment_unknown": "purple", "payment_unavailable": BAD, "conflict": "dark-red", "error": BAD,
    "failed": BAD, "5xx": BAD, "short_circuited": QUIET, "DEBUG": QUIET, "INFO": PLAIN,
    "WARNING": WARN, "ERROR": BAD, "CRITICAL": "dark-red", "median": PLAIN,
    "p95": "purple", "p99": QUIET,
    # Colours that only tell sources apart.
    "web": PLAIN, "worker": "purple", "gateway": "yellow", "postgres": "dark-yellow",
    "prometheus": "light-blue", "loki": "light-purple", "collector": "dark-purple",
    "alertmanager": "dark-blue", "grafana": QUIET, "cart": PLAIN, "flash": "purple",
    "requested": PLAIN, "accepted": GOOD, "refused": QUIET, "unknown": "purple",
    "needs_human": WARN, "owed": "dark-red", "received": "purple",
    "expired": QUIET, "closed": "light-green",
    "created": GOOD, "updated": PLAIN, "unchanged": QUIET, "rejected": BAD, "done": GOOD,
    "held": WARN, "discarded": "dark-yellow",
    "checkout": PLAIN, "login": "purple", "password_reset": "yellow",
}  # fmt: skip
NO_DATA = "no data"
CURRENCY_UNITS = {"EUR": "currencyEUR", "GBP": "currencyGBP", "USD": "currencyUSD"}
COLUMNS = 24
# Links pass on the time range and the variables.
KEEP = "${__url_time_range}&${__all_variables}"


def steps(*above: tuple[float, str], base: str = GOOD) -> list[Json]:
    """Return thresholds: a colour from each value upwards, and `base` below the first."""
    return [{"color": base, "value": None}] + [{"color": c, "value": v} for v, c in above]


def at_least(warning: float, least: float) -> list[Json]:
    """Return thresholds for a value that must not be low."""
    return steps((least, WARN), (warning, GOOD), base=BAD)


def not_below(warning: float, least: float) -> list[Json]:
    """Return the thresholds of `at_least` for a graph, where lines have the colour below them."""
    return steps((least, BAD), (warning, WARN))


def mapping(texts: Mapping[float, tuple[str, str]]) -> list[Json]:
    """Return value mappings: the text and colour to show for each number."""
    options = {
        f"{value:g}": {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}]


def missing(text: str = NO_DATA) -> list[Json]:
    """Return the value mapping for no value: grey. Otherwise it would have the base colour."""
    result = {"text": text, "color": QUIET, "index": 99}
    return [{"type": "special", "options": {"match": "null+nan", "result": result}}]


def instead(expr: str, *known: tuple[str, str]) -> Json:
    """Return a query and the mappings of texts for facts that are shown in place of its value.

    Each fact is an expression without labels that has a value if the fact is known.
    """
    texts = {-float(number): text for number, (_, text) in enumerate(known, 1)}
    facts = [f"or on () ({fact}) * 0 - {number}" for number, (fact, _) in enumerate(known, 1)]
    return {
        "targets": [query("\n".join([f"({expr})", *facts]), now=True)],
        "mappings": mapping({value: (text, QUIET) for value, text in texts.items()}),
    }


def override(name: str, **properties: Any) -> Json:
    """Return the overrides of one series. `__` in a property name stands for a dot."""
    properties_list = [
        {"id": key.replace("__", "."), "value": value} for key, value in properties.items()
    ]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties_list}


def panel(kind: str, title: str, description: str, targets: Sequence[Json], **more: Any) -> Json:
    """Return a panel. `more` contains unit, thresholds, mappings, size, options and so on."""
    defaults: Json = {"unit": more.pop("unit", "none")}
    defaults["color"] = more.pop("color", {"mode": "thresholds"})
    defaults["thresholds"] = {"mode": "absolute", "steps": more.pop("thresholds", steps())}
    for key, name in (
        ("mappings", "mappings"), ("no_value", "noValue"), ("least", "min"), ("most", "max"),
        ("decimals", "decimals"), ("links", "links"), ("custom", "custom"),
    ):  # fmt: skip
        if more.get(key) is not None:
            defaults[name] = more[key]
        more.pop(key, None)
    width, height = more.pop("size", (8, 8))
    return {
        "datasource": targets[0]["datasource"],
        "description": description,
        "fieldConfig": {"defaults": defaults, "overrides": more.pop("overrides", [])},
        "gridPos": {"w": width, "h": height},
        "options": more.pop("options", {}),
        "targets": [
            {**target, "refId": chr(ord("A") + index)} for index, target in enumerate(targets)
        ],
        "title": title,
        "type": kind,
        **more,
    }


def stat(title: str, description: str, targets: Sequence[Json], **more: Any) -> Json:
    """Return a stat panel: one big number per series, with the threshold's colour behind it.

    Its queries are instant: the last value of a time range may be that of a dead process.
    """
    more["mappings"] = [*more.get("mappings", ()), *missing()]
    more["no_value"] = NO_DATA
    targets = [{**target, "expr": while_up(target["expr"])} for target in targets]
    options = {
        "colorMode": more.pop("paint", "background_solid"),
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "vertical",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": more.pop("text", "value" if len(targets) == 1 else "value_and_name"),
        "wideLayout": False,
    }
    more.setdefault("size", (4, 4))
    return panel("stat", title, description, targets, options=options, **more)


def series(title: str, description: str, targets: Sequence[Json], **more: Any) -> Json:
    """Return a time series panel. `stacked` stacks and fills; thresholds are drawn as lines."""
    stacked = more.pop("stacked", False)
    bars = more.pop("bars", False)
    custom = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 70 if bars or stacked else 8,
        "lineWidth": 0 if stacked else 1,
        "showPoints": "auto",  # a point without neighbours has no line
        "spanNulls": 60_000,
        "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
        "thresholdsStyle": {"mode": "dashed" if "thresholds" in more else "off"},
        "axisSoftMax": more.pop("soft_most", None),
        "axisSoftMin": more.pop("soft_least", None),
    }
    more.setdefault("color", {"mode": "palette-classic"})
    more.setdefault("least", 0)
    legends = {target["legendFormat"] for target in targets}
    by_label = any("{{" in legend for legend in legends)
    coloured = [
        override(name, color={"mode": "fixed", "fixedColor": colour})
        for name, colour in COLOURS.items()
        if by_label or name in legends
    ]
    # A long legend goes to the right of a wide graph and below a narrow one, so no name is cut.
    many = by_label or len(targets) > 2  # noqa: PLR2004 - rows that fit below
    wide = more.setdefault("size", (8, 8))[0] >= COLUMNS / 2
    options = {
        "legend": {
            "calcs": [] if many and not wide else ["lastNotNull", "max"],
            "displayMode": "list" if many and not wide else "table",
            "placement": "right" if many and wide else "bottom",
            "showLegend": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }  # fmt: skip
    return panel(
        "timeseries", title, description, targets, custom=_without_none(custom), options=options,
        overrides=coloured + more.pop("overrides", []), **more,
    )  # fmt: skip


def states(title: str, description: str, targets: Sequence[Json], **more: Any) -> Json:
    """Return a state timeline: coloured bands over time."""
    options = {
        "alignValue": "left", "mergeValues": True, "rowHeight": 0.8, "showValue": "auto",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    }  # fmt: skip
    custom = {"fillOpacity": 75, "lineWidth": 0, "spanNulls": 60_000}
    return panel(
        "state-timeline", title, description, targets, custom=custom, options=options, **more
    )


def table(title: str, description: str, targets: Sequence[Json], **more: Any) -> Json:
    """Return a table. `columns` maps labels to headings, in display order."""
    columns: Mapping[str, str] = more.pop("columns")
    hidden = dict.fromkeys(("Time", *more.pop("hide", ())), True)
    organise = {
        "excludeByName": hidden,
        "indexByName": {name: index for index, name in enumerate(columns)},
        "renameByName": dict(columns),
    }
    merge = [{"id": "merge", "options": {}}] if len(targets) > 1 else []
    return panel(
        "table", title, description, [{**target, "format": "table"} for target in targets],
        options={"showHeader": True, "cellHeight": "sm", "sortBy": more.pop("sort", [])},
        transformations=[*merge, {"id": "organize", "options": organise}],
        **more,
    )  # fmt: skip


def cell(unit: str, **more: Any) -> Json:
    """Return the properties of a numeric column."""
    return {"unit": unit, **more}


def shaded(thresholds: list[Json]) -> Json:
    """Return the properties of a column whose cells have the threshold's colour."""
    return {
        "custom__cellOptions": {"type": "color-background", "mode": "basic"},
        "thresholds": {"mode": "absolute", "steps": thresholds},
        "color": {"mode": "thresholds"},
        "mappings": missing("-"),
    }


def row(title: str) -> Json:
    """Return a row heading."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [],
            "gridPos": {"w": COLUMNS, "h": 1}}  # fmt: skip


def link(title: str, uid: str, extra: str = "") -> Json:
    """Return a panel or data link to another dashboard that keeps time range and variables."""
    return {"title": title, "url": f"/d/{uid}?{KEEP}{extra}", "targetBlank": False}


def logs_link(title: str, **variables: str | Sequence[str]) -> Json:
    """Return a link to the log lines that match these variables of the logs dashboard."""
    pairs = {f"var-{name}": value for name, value in variables.items()}
    return link(title, "retail-logs", f"&{urlencode(pairs, doseq=True, quote_via=quote)}")


def _without_none(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}

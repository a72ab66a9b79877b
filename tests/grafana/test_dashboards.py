import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from alerts.build import alerts
from alerts.slo import BUDGET_EVERY
from grafana import parts
from grafana.build import DASHBOARDS, ROOT, built
from grafana.page import TITLES
from retail.observability.prometheus import catalogue
from retail.observability.prometheus.instruments import DatabaseGauge
from retail.thresholds import THRESHOLDS, in_words

FILES = sorted((ROOT / "grafana/dashboards").glob("*.json"))
PAGES: list[dict[str, Any]] = [json.loads(file.read_text("utf-8")) for file in FILES]
PANELS = [
    pytest.param(panel, id=f"{page['uid']}: {panel['title']}")
    for page in PAGES
    for panel in page["panels"]
    if panel["type"] != "row"
]
# Gauges read from the database have the same value in every process.
DATABASE_GAUGES = "|".join(
    entry.name for entry in catalogue.entries() if isinstance(entry, DatabaseGauge)
)
COUNTER = r"\b(?!pg_locks)[a-z_]+_(total|count|bucket)\b(?=[{\[ )]|$)"
# Values that Grafana would fill in.
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$view": "x"}


def promql(panel: dict[str, Any]) -> list[str]:
    expressions = []
    for target in panel.get("targets", ()):
        if target["datasource"]["uid"] == "prometheus":
            expr = target["expr"]
            for name, value in VARIABLES.items():
                expr = expr.replace(name, value)
            expressions.append(expr)
    return expressions


def test_the_committed_files_are_up_to_date() -> None:
    texts = built()
    assert {path: (ROOT / path).read_text("utf-8") for path in texts} == texts
    assert {f"grafana/dashboards/{file.name}" for file in FILES} == {
        path for path in texts if path.endswith(".json")
    }


def test_dashboards() -> None:
    assert {page["uid"]: page["title"] for page in PAGES} == TITLES
    assert [DASHBOARDS[name]["uid"] for name in ("shop", "logs")] == ["retail-shop", "retail-logs"]
    for page in PAGES:
        assert page["schemaVersion"] == 42
        assert page["editable"] is False
        ids = [panel["id"] for panel in page["panels"]]
        assert ids == sorted(set(ids))
        assert (
            len({panel["title"] for panel in page["panels"]}) >= len(ids) - 4
        )  # two objectives have the same panels


def test_home_starts_with_the_key_numbers() -> None:
    lines: dict[int, list[str]] = {}
    for panel in DASHBOARDS["shop"]["panels"]:
        lines.setdefault(panel["gridPos"]["y"], []).append(panel["title"])
    first, second, *_ = lines.values()
    assert first == ["What is up", "Firing alerts"]
    assert second == [
        "Alerts firing",
        "Error rate",
        "Payment success",
        "Good checkouts",
        "Circuit breaker",
        "Oversold units",
        "Revenue",
        "Orders per minute",
    ]


@pytest.mark.parametrize("panel", PANELS)
def test_panel(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert (
        panel["description"].count(". ") >= 1
    )  # at least two sentences: what is normal, and what to do
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] in {"prometheus", "loki"}
    refs = [target["refId"] for target in panel["targets"]]
    assert refs == list("ABCDEFGH"[: len(refs)])
    assert {t["datasource"]["uid"] for t in panel["targets"]} == {panel["datasource"]["uid"]}
    for expr in promql(panel):
        promql_parser.parse(expr)


def test_there_are_counters_and_database_gauges_for_the_next_rule() -> None:
    exprs = [expr for page in PAGES for panel in page["panels"] for expr in promql(panel)]
    assert any(re.search(COUNTER, expr) for expr in exprs)
    gauges = set(re.findall(rf"\b(?:{DATABASE_GAUGES})\b", " ".join(exprs)))
    assert {"retail_oversold_units", "retail_payments_unknown_oldest_seconds"} <= gauges


@pytest.mark.parametrize("panel", PANELS)
def test_counters_are_rates_and_database_gauges_are_not_summed(panel: dict[str, Any]) -> None:
    for expr in promql(panel):
        for counter in re.finditer(COUNTER, expr):
            before = expr[: counter.start()]
            assert re.search(r"(rate|increase)\($", before), f"{counter[0]} in {expr}"
        for gauge in re.finditer(rf"\b({DATABASE_GAUGES})\b", expr):
            before = re.sub(r"(max_over_time|increase|rate)\($", "", expr[: gauge.start()])
            around = re.search(
                r"(max|max by \([a-z_, ]+\)|count by \([a-z_]+\)) \($|max\($", before
            )
            assert around, f"{gauge[0]} in {expr}"


def test_panels_do_not_overlap() -> None:
    for page in PAGES:
        cells: set[tuple[int, int]] = set()
        for panel in page["panels"]:
            x, y, w, h = (panel["gridPos"][name] for name in "xywh")
            mine = set(itertools.product(range(x, x + w), range(y, y + h)))
            assert x + w <= parts.COLUMNS
            assert not cells & mine, panel["title"]
            cells |= mine


def test_links_lead_to_existing_dashboards_and_keep_time_and_variables() -> None:
    seen = 0
    for page in PAGES:
        assert [link["url"] for link in page["links"]] == [
            f"/d/{uid}" for uid in TITLES if uid != page["uid"]
        ]
        assert all(link["keepTime"] and link["includeVars"] for link in page["links"])
        for panel in page["panels"]:
            defaults = panel.get("fieldConfig", {}).get("defaults", {})
            for link in [*panel.get("links", []), *defaults.get("links", [])]:
                uid, _, rest = link["url"].removeprefix("/d/").partition("?")
                seen += 1
                assert uid in TITLES
                assert rest.startswith("${__url_time_range}&${__all_variables}")
    assert seen


def threshold_lines(uid: str, title: str, kind: str) -> list[Any]:
    page = next(page for page in PAGES if page["uid"] == uid)
    panel = next(p for p in page["panels"] if p["title"] == title and p["type"] == kind)
    return [s["value"] for s in panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]]


def test_thresholds_match_the_file() -> None:
    errors, success = THRESHOLDS.error_rate, THRESHOLDS.payment_success
    times, queue = THRESHOLDS.response_time, THRESHOLDS.queue
    error_ratios = [errors.warning_ratio, errors.most_ratio]
    success_ratios = [success.least_ratio, success.warning_ratio]
    seconds = [times.warning_seconds, times.most_seconds]
    waits = [queue.warning_waiting_seconds, queue.most_waiting_seconds]
    for kind in ("stat", "timeseries"):
        assert threshold_lines("retail-shop", "Error rate", kind) == error_ratios
        assert threshold_lines("retail-shop", "Payment success", kind) == success_ratios
    assert threshold_lines("retail-shop", "Response time", "timeseries") == seconds
    assert threshold_lines("retail-jobs", "Waiting time of the oldest job", "timeseries") == waits
    assert threshold_lines("retail-payments", "Fast-fail time", "timeseries") == [
        THRESHOLDS.fast_fail.most_seconds
    ]
    assert threshold_lines("retail-slo", "Burn rate", "timeseries") == sorted(
        burn.factor for burn in THRESHOLDS.slo.burns
    )


def test_a_series_name_has_one_colour() -> None:
    seen = set()
    for page in PAGES:
        for panel in page["panels"]:
            for override in panel.get("fieldConfig", {}).get("overrides", []):
                name = override["matcher"]["options"]
                for setting in override["properties"]:
                    if setting["id"] == "color" and "fixedColor" in setting["value"]:
                        colour = setting["value"]["fixedColor"]
                        assert colour == parts.COLOURS.get(name, colour), (panel["title"], name)
                        seen.add(name)
    assert seen & parts.COLOURS.keys()


def with_thresholds() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the settings of everything that thresholds colour: panels and columns of tables."""
    for page in PAGES:
        for panel in page["panels"]:
            config = panel.get("fieldConfig", {"defaults": {}, "overrides": []})
            name = f"{page['uid']}: {panel['title']}"
            if panel["type"] == "stat":
                yield name, config["defaults"]
            for override in config["overrides"]:
                settings = {entry["id"]: entry["value"] for entry in override["properties"]}
                if panel["type"] == "table" and "thresholds" in settings:
                    yield name, settings


def test_no_value_is_grey_and_never_a_fact() -> None:
    settings = list(with_thresholds())
    assert len(settings) > 45
    for name, found in settings:
        (missing,) = (m for m in found["mappings"] if m["type"] == "special")
        assert missing["options"]["match"] == "null+nan", name
        assert missing["options"]["result"]["color"] == parts.QUIET, name
        assert missing["options"]["result"]["text"] in {parts.NO_DATA, "-"}, name
    for page in PAGES:
        for panel in page["panels"]:
            text = panel.get("fieldConfig", {}).get("defaults", {}).get("noValue", parts.NO_DATA)
            assert text == parts.NO_DATA, panel["title"]


@pytest.mark.parametrize("panel", PANELS)
def test_a_single_number_is_the_present_one(panel: dict[str, Any]) -> None:
    """The last value of a time range may be that of a dead process, and so may an increase."""
    if panel["type"] != "stat":
        return
    for target in panel["targets"]:
        assert target.get("instant") or target.get("queryType") == "instant"
        if "retail_" in target["expr"] and re.search(r"\[|service:", target["expr"]):
            assert 'up{job=~"web|worker"}' in target["expr"]


def test_zero_is_never_made_up() -> None:
    made_up = {
        f"{page['uid']}: {panel['title']}"
        for page in PAGES
        for panel in page["panels"]
        for target in panel.get("targets", ())
        if "vector(0)" in target["expr"]
    }
    # Of `up` and of ALERTS, no series means none; Loki has no series for no lines.
    assert made_up == {
        "retail-shop: What is up",
        "retail-jobs: Worker",
        "retail-system: Web processes",
        "retail-system: Worker processes",
        "retail-watch: Watchdog",
        "retail-watch: Targets down",
        "retail-logs: All lines",
    }


def test_a_lone_point_is_drawn() -> None:
    graphs = [p for page in PAGES for p in page["panels"] if p["type"] == "timeseries"]
    assert len(graphs) > 40
    assert {p["fieldConfig"]["defaults"]["custom"]["showPoints"] for p in graphs} == {"auto"}


def test_marks_cover_the_time_between_two_evaluations() -> None:
    """Otherwise a mark of two minutes vanishes on seven days, of which Grafana asks 100 points."""
    for annotation in PAGES[0]["annotations"]["list"]:
        assert "[$__rate_interval]" in annotation["target"]["expr"], annotation["name"]


def test_bars_do_not_hide_each_other() -> None:
    bars = [
        panel
        for page in PAGES
        for panel in page["panels"]
        if panel.get("fieldConfig", {}).get("defaults", {}).get("custom", {}).get("drawStyle")
        == "bars"
    ]
    assert len(bars) == 4
    assert {p["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] for p in bars} == {"normal"}


def test_the_firing_alerts_show_what_tells_one_from_another() -> None:
    tables = [p for page in PAGES for p in page["panels"] if p["title"] == "Firing alerts"]
    assert [panel["type"] for panel in tables] == ["table", "table"]
    texts = " ".join(text for alert in alerts() for text in alert.annotations().values())
    labels = set(re.findall(r"\$labels\.(\w+)", texts))
    assert {"job", "instance", "invariant", "breaker", "sink"} <= labels
    for panel in tables:
        joined = re.findall(r'"(\w+)"', panel["targets"][0]["expr"].split('"which"')[1])
        assert labels <= set(joined)
        # By rank, not by alphabet; and nothing fills an empty cell.
        assert panel["options"]["sortBy"] == [{"displayName": "Severity", "desc": True}]
        assert "noValue" not in panel["fieldConfig"]["defaults"]


def test_the_remaining_budget_is_clamped_and_names_its_lag() -> None:
    (page,) = (page for page in PAGES if page["uid"] == "retail-slo")
    budgets = [panel for panel in page["panels"] if panel["title"] == "Remaining budget"]
    assert len(budgets) == 2
    for panel in budgets:
        assert "clamp_min(" in panel["targets"][0]["expr"]
        assert f"Updated every {in_words(BUDGET_EVERY)}" in panel["description"]


def test_lint_exclusions_have_reasons() -> None:
    text = Path(ROOT / "grafana/dashboards/.lint").read_text("utf-8")
    rules = re.findall(r"^  ([a-z-]+):\n    reason: .{20,}", text, re.MULTILINE)
    assert rules == [
        "template-datasource-rule",
        "panel-datasource-rule",
        "template-job-rule",
        "template-instance-rule",
        "target-job-rule",
        "target-instance-rule",
    ]

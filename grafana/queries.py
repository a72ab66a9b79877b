"""Queries of panels, as Grafana sends them to Prometheus and Loki."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Json = dict[str, Any]

PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
LOKI = {"type": "loki", "uid": "loki"}
# Increases and recorded series outlive a process, so a value counts only while its job is up. A
# gauge ends with its process.
JOBS = {"retail": "web|worker", "pg": "postgres", "otelcol": "collector"}


def query(expr: str, legend: str = "", *, now: bool = False, **more: Any) -> Json:
    """Return a Prometheus query: over the time range, or instant with `now`."""
    return {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": expr,
        "instant": now,
        "legendFormat": legend,
        "range": not now,
        **more,
    }


def log_query(expr: str, legend: str = "", *, now: bool = False) -> Json:
    """Return a Loki query: over the time range, or instant with `now`."""
    kind = "instant" if now else "range"
    return {"datasource": LOKI, "expr": expr, "legendFormat": legend, "queryType": kind}


def quantiles(
    histogram: str, selector: str = "", *, of: Sequence[float] = (0.5, 0.95)
) -> list[Json]:
    """Return queries for percentiles. Exemplars link to the log lines of a request."""
    rates = f"sum by (le) (rate({histogram}_bucket{{{selector}}}[$__rate_interval]))"
    rates = rates.replace("{}", "")
    return [
        query(
            f"histogram_quantile({rank}, {rates})",
            "median" if rank == 0.5 else f"p{100 * rank:g}",  # noqa: PLR2004 - one half
            exemplar=rank == of[-1],
        )
        for rank in of
    ]


def while_up(expr: str) -> str:
    """Return an expression without a value while Prometheus cannot scrape what it is about."""
    found = re.search(rf"\b({'|'.join(JOBS)})_", expr)
    if not found or not re.search(r"\[|service:", expr):
        return expr
    return f'({expr})\nand on () max(up{{job=~"{JOBS[found[1]]}"}}) == 1'


def or_none(expr: str, total: str, label: str) -> str:
    """Return `expr`, or a line at 0 named "none" if `total` has data but `expr` is empty."""
    return f'({expr})\nor on () label_replace({total} * 0, "{label}", "none", "", "")'

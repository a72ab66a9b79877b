"""Visitors who stay away, compared with the same hour of yesterday and of a week ago."""

from alerts.http_errors import REQUESTS, VISITORS
from alerts.model import Alert, Group, Recording, span
from retail.thresholds import THRESHOLDS

LOST = THRESHOLDS.lost_traffic

_VISITS_RATE = f"service:retail_visits:rate{span(LOST.window_seconds)}"
VISITS_RATE = Recording(
    _VISITS_RATE, f"sum(rate({REQUESTS}{{{VISITORS}}}[{span(LOST.window_seconds)}]))\nor vector(0)"
)
# The hour around the same time, yesterday and a week ago.
_THEN = tuple(f"avg_over_time({_VISITS_RATE}[1h] offset {days * 24 - 1}h30m)" for days in (1, 7))
TRAFFIC_GONE = Alert(
    name="RetailTrafficGone",
    expr="\nand ".join(
        [f"{_VISITS_RATE} < {LOST.most_ratio} * {then}" for then in _THEN]
        + [f"{then} * 3600 >= {LOST.least_requests}" for then in _THEN]
    ),
    for_seconds=LOST.for_seconds,
    severity="critical",
    service="shop",
    summary="Visitors stay away: almost no requests reach the shop",
    description="The shop gets less than "
    f"{LOST.most_ratio:.0%} of the requests it got in the same hour of yesterday and of a week "
    "ago. If the shop answers, what is between it and its visitors may be broken. First steps:",
    steps=(
        (
            "Open the shop at its public address, from outside your network. Do name, certificate "
            "and proxy work?"
        ),
        "Run curl -i http://localhost:8000/. Does the shop itself answer?",
        (
            "Compare with the dashboard linked here. Did the requests stop at once (a failure) or "
            "slowly (a holiday, the end of a campaign)?"
        ),
    ),
    dashboard="retail-http",
    logs=(("var-service", "web"),),
)

GROUPS = (Group("retail_traffic", (VISITS_RATE, TRAFFIC_GONE)),)

"""Attempts to get in."""

from alerts.model import Alert, Group, span
from alerts.queries import happened
from retail.thresholds import THRESHOLDS, in_words

FAILED = THRESHOLDS.failed_logins

FAILED_LOGINS = Alert(
    name="RetailLoginFailuresHigh",
    expr=happened(
        'retail_security_events_total{event="log_in_failed"}',
        span(FAILED.window_seconds),
        FAILED.most_failures,
    ),
    severity="warning",
    service="shop",
    summary=f"Failed log-ins within {in_words(FAILED.window_seconds)}: {{{{ $value }}}}",
    description=f"More than {FAILED.most_failures} log-ins failed within "
    f"{in_words(FAILED.window_seconds)}. Somebody may be trying passwords. First steps:",
    steps=(
        (
            "In the admin, under Security events, filter by log_in and failed. Is it one client or "
            "one account, or many of them?"
        ),
        "Did any log-in of these clients or accounts succeed? Then end it: see the runbook.",
        "Did it start with a deployment? Then check whether customers can log in at all.",
    ),
    dashboard="retail-shop",
    logs=(("var-logger", "retail.security"),),
)

GROUPS = (Group("retail_security", (FAILED_LOGINS,)),)

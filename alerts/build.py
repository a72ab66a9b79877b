"""Generate the rule files of Prometheus and Loki from Python and the shop's thresholds.

    make generate

The files are committed, so that a review shows what a change does to them. A test fails when they
are out of date.
"""

from __future__ import annotations

from pathlib import Path

from alerts import (
    feeds,
    http_errors,
    logs,
    monitoring,
    payments,
    quality,
    quiet_hours,
    refunds,
    security,
    slo,
    stock,
    traffic,
    upkeep,
)
from alerts.model import Alert, Group, rule_file

ROOT = Path(__file__).resolve().parent.parent

FILES: dict[str, tuple[Group, ...]] = {
    "alerts/rules/feeds.yml": feeds.GROUPS,
    "alerts/rules/http_errors.yml": http_errors.GROUPS,
    "alerts/rules/monitoring.yml": monitoring.GROUPS,
    "alerts/rules/payments.yml": payments.GROUPS,
    "alerts/rules/quality.yml": quality.GROUPS,
    "alerts/rules/quiet_hours.yml": quiet_hours.GROUPS,
    "alerts/rules/refunds.yml": refunds.GROUPS,
    "alerts/rules/security.yml": security.GROUPS,
    "alerts/rules/slo.yml": slo.GROUPS,
    "alerts/rules/stock.yml": stock.GROUPS,
    "alerts/rules/traffic.yml": traffic.GROUPS,
    "alerts/rules/upkeep.yml": upkeep.GROUPS,
    # Loki calls its only tenant "fake" when authentication is off.
    "loki/rules/fake/retail.yml": logs.GROUPS,
}


def alerts() -> list[Alert]:
    """Return every alert, including Loki's. A name can occur twice, with two severities."""
    rules = (rule for groups in FILES.values() for group in groups for rule in group.rules)
    return [rule for rule in rules if isinstance(rule, Alert)]


def built() -> dict[str, str]:
    """Return the content of each file by its path, relative to the repository's root."""
    return {path: rule_file(groups) for path, groups in FILES.items()}


def main() -> None:
    """Write the files."""
    for path, text in built().items():
        file = ROOT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

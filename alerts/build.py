"""Write the rule files of Prometheus and Loki from Python, with the thresholds of the shop.

    make generate

They are committed, so that whoever reviews a change sees what it does; a test fails when they
are stale.
"""

from __future__ import annotations

from pathlib import Path

from alerts import answers, logs, payments, quality, slo, stock, watch
from alerts.model import Alert, Group, rule_file

ROOT = Path(__file__).resolve().parent.parent

FILES: dict[str, tuple[Group, ...]] = {
    "alerts/rules/answers.yml": answers.GROUPS,
    "alerts/rules/payments.yml": payments.GROUPS,
    "alerts/rules/quality.yml": quality.GROUPS,
    "alerts/rules/slo.yml": slo.GROUPS,
    "alerts/rules/stock.yml": stock.GROUPS,
    "alerts/rules/watch.yml": watch.GROUPS,
    # Loki calls the one tenant that it has without log-ins "fake".
    "loki/rules/fake/retail.yml": logs.GROUPS,
}


def alerts() -> list[Alert]:
    """Return every alert, Loki's too; a name may come twice, with two severities."""
    rules = (rule for groups in FILES.values() for group in groups for rule in group.rules)
    return [rule for rule in rules if isinstance(rule, Alert)]


def built() -> dict[str, str]:
    """Return the text of each file, by its path from the repository's root."""
    return {path: rule_file(groups) for path, groups in FILES.items()}


def main() -> None:
    """Write the files."""
    for path, text in built().items():
        file = ROOT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

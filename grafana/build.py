"""Write Grafana's dashboards and its four rules from Python, with the thresholds of the shop.

    make generate

They are committed, so that whoever reviews a change sees what it does; a test fails when they are
stale.
"""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from grafana import rules
from grafana.pages import (
    flash_sale,
    http_views,
    jobs,
    logs,
    payments,
    shop,
    slo,
    system,
    watch,
)

ROOT = Path(__file__).resolve().parent.parent
HEADING = "# Written by grafana/build.py: change grafana/rules.py, then run `make generate`.\n"

DASHBOARDS = {
    "shop": shop.PAGE,
    "flash-sale": flash_sale.PAGE,
    "payments": payments.PAGE,
    "http": http_views.PAGE,
    "jobs": jobs.PAGE,
    "system": system.PAGE,
    "logs": logs.PAGE,
    "slo": slo.PAGE,
    "watch": watch.PAGE,
}


def built() -> dict[str, str]:
    """Return the text of each file, by its path from the repository's root."""
    pages = {
        f"grafana/dashboards/{name}.json": json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        for name, content in DASHBOARDS.items()
    }
    alerting = yaml.safe_dump(rules.file(), sort_keys=False, allow_unicode=True, width=100)
    return {**pages, "grafana/provisioning/alerting/rules.yml": HEADING + alerting}


def main() -> None:
    """Write the files."""
    for path, text in built().items():
        (ROOT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

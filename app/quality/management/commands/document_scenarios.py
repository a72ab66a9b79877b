"""Write docs/QS-Catalog.md from the declared quality scenarios."""

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand

from quality.catalogue import SCENARIOS
from quality.metrics import SCENARIO_PASSING
from quality.scenario import Scenario

# A paragraph's line is not folded.
# ruff: noqa: E501

HEADER = """# Quality scenarios

What the shop promises, in the six parts of a quality scenario, and what shows that it keeps it.
Written from `app/quality/runtime_scenarios.py` and `app/quality/tested_scenarios.py` by `make docs`; a test fails when it is stale.
Thresholds come from `app/retail/thresholds.toml`.

`/metrics/quality-scenarios/` shows each with its verdict:

- **PASS**, **FAIL**: judged on the running shop, over the last day (or `?days=7`, `?days=30`).
- **NO EVIDENCE**: nothing happened that it could be judged by, or there is nothing to judge yet. Never a pass.
- **TESTED**: proved by tests that run before a version is released. The page names them and does not run them.

The worker judges every minute and keeps the verdicts (`{SERIES}`; alert
[RetailQualityScenarioFailing](runbooks/RetailQualityScenarioFailing.md)). `/metrics/quality-scenarios.json` tells
programs the same.

| scenario | quality | evidence |
|---|---|---|
"""


def _scenario(one: Scenario) -> Iterator[str]:
    yield f"\n## {one.id}: {one.title}\n\n| {one.quality} | |\n|---|---|\n"
    yield from (f"| {name} | {text} |\n" for name, text in one.parts)
    yield f"| Evidence | {one.evidence}{f': {one.missing_reason}' if one.missing_reason else ''} |\n"
    if one.proofs:
        yield "\nTests that prove it:\n\n"
        yield from (f"- `{proof}`\n" for proof in one.proofs)
    if one.runbooks:
        links = (f"[{name}](runbooks/{name}.md)" for name in one.runbooks)
        yield f"\nRunbooks: {', '.join(links)}\n"


def document() -> str:
    """Return the page."""
    lines = [f"| {one.id} {one.title} | {one.quality} | {one.evidence} |\n" for one in SCENARIOS]
    return (
        HEADER.replace("{SERIES}", SCENARIO_PASSING.name)
        + "".join(lines)
        + "".join(text for one in SCENARIOS for text in _scenario(one))
    )


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: object, **options: object) -> None:
        path = Path(settings.BASE_DIR).parent / "docs" / "QS-Catalog.md"
        path.write_text(document(), encoding="utf-8")
        self.stdout.write(f"Wrote {path.name}.")

"""Write docs/QS-Catalog.md from the declared quality scenarios."""

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand

from quality.catalogue import SCENARIOS
from quality.metrics import SCENARIO_PASSING
from quality.scenario import Scenario

# ruff: noqa: E501 - lines of the document are not wrapped

HEADER = """# Quality scenarios

The shop's quality objectives, each as a scenario in six parts, and the evidence that it meets them.
`make docs` generates this file from `app/quality/runtime_scenarios.py` and `app/quality/tested_scenarios.py`; a test fails if it is out of date.
Thresholds come from `app/retail/thresholds.toml`.

`/metrics/quality-scenarios/` shows the scenarios with their verdicts:

- **PASS**, **FAIL**: evaluated on the running shop, over the last day (or `?days=7`, `?days=30`).
- **NO EVIDENCE**: there was no relevant traffic, or the feature does not exist yet. Never counted as a pass.
- **TESTED**: verified by tests that run before a release. The page lists the tests; it does not run them.

The worker evaluates the scenarios every minute and stores the verdicts (metric `{SERIES}`, alert
[RetailQualityScenarioFailing](runbooks/RetailQualityScenarioFailing.md)). The same data is available as JSON at
`/metrics/quality-scenarios.json`.

| scenario | quality | evidence |
|---|---|---|
"""


def _scenario(scenario: Scenario) -> Iterator[str]:
    yield f"\n## {scenario.id}: {scenario.title}\n\n| {scenario.quality} | |\n|---|---|\n"
    yield from (f"| {name} | {text} |\n" for name, text in scenario.parts)
    yield f"| Evidence | {scenario.evidence}{f': {scenario.missing_reason}' if scenario.missing_reason else ''} |\n"
    if scenario.proofs:
        yield "\nTests:\n\n"
        yield from (f"- `{proof}`\n" for proof in scenario.proofs)
    if scenario.runbooks:
        links = (f"[{name}](runbooks/{name}.md)" for name in scenario.runbooks)
        yield f"\nRunbooks: {', '.join(links)}\n"


def document() -> str:
    """Return the content of docs/QS-Catalog.md."""
    lines = [
        f"| {scenario.id} {scenario.title} | {scenario.quality} | {scenario.evidence} |\n"
        for scenario in SCENARIOS
    ]
    return (
        HEADER.replace("{SERIES}", SCENARIO_PASSING.name)
        + "".join(lines)
        + "".join(text for scenario in SCENARIOS for text in _scenario(scenario))
    )


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: object, **options: object) -> None:
        path = Path(settings.BASE_DIR).parent / "docs" / "QS-Catalog.md"
        path.write_text(document(), encoding="utf-8")
        self.stdout.write(f"Wrote {path.name}.")

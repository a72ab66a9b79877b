"""The catalogue: complete, documented, and backed by existing tests and queries."""

import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from partner_feeds.models import Ingestion
from quality.catalogue import EVALUATED, SCENARIOS
from quality.management.commands.document_scenarios import document
from quality.scenario import QUALITIES, Evidence, Measure, Scenario, Verdict, evaluate
from retail.history.read import time_range
from tests.partner_feeds.taking_in import make_partner
from tests.quality.support import NOON, ago, order, orders, row

ROOT = Path(settings.BASE_DIR).parent
PROOFS = sorted({proof for scenario in SCENARIOS for proof in scenario.proofs})


def collected(files: set[str], *options: str, folder: Path = ROOT) -> set[str]:
    """Return the names of the tests that pytest would run, without parameters."""
    command = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider")
    # Tests marked as skipped or as expected to fail are no evidence.
    result = subprocess.run(
        [*command, "-m", "not skip and not skipif and not xfail", *options, *sorted(files)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return {line.partition("[")[0] for line in result.stdout.splitlines() if "::" in line}


def missing(proofs: list[str]) -> set[str]:
    return set(proofs) - collected({proof.partition("::")[0] for proof in proofs})


def test_every_proof_exists_and_is_not_skipped() -> None:
    assert len(PROOFS) > 30
    assert missing(PROOFS) == set()


def test_a_removed_or_skipped_test_is_detected(tmp_path: Path) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(
        "import pytest\n"
        "@pytest.mark.skip\ndef test_skipped(): ...\n"
        "@pytest.mark.skipif(False, reason='now and then')\ndef test_sometimes(): ...\n"
        "@pytest.mark.parametrize('n', [1, 2])\ndef test_runs(n): ...\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    names = collected({file.name}, "-p", "no:django", folder=tmp_path)
    assert names == {"test_some.py::test_runs"}


def test_no_proof_skips_itself_or_depends_on_optional_programs() -> None:
    assert PROOFS
    for name in {proof.partition("::")[0] for proof in PROOFS}:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "pytest.skip" not in text
        assert "left_out" not in text


def test_each_scenario_has_its_own_id_and_they_come_by_quality_and_number() -> None:
    ids = [scenario.id for scenario in SCENARIOS]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(rf"[{''.join(QUALITIES)}][1-9]\d*", name) for name in ids)
    assert list(dict.fromkeys(name[0] for name in ids)) == list(QUALITIES)
    assert ids.index("S2") + 1 == ids.index("M1")
    assert (
        tuple(scenario for scenario in SCENARIOS if "the running shop" in scenario.evidence)
        == EVALUATED
    )
    assert {"A1", "A2", "P1", "P2"} <= {scenario.id for scenario in EVALUATED}
    assert any(scenario.runbooks for scenario in SCENARIOS)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_each_has_six_parts_and_one_kind_of_evidence(scenario: Scenario) -> None:
    names = ["Source", "Stimulus", "Environment", "Artifact", "Response", "Response measure"]
    assert [name for name, _ in scenario.parts] == names
    assert all(text and not text.endswith(".") for _, text in scenario.parts)
    assert bool(scenario.missing_reason) != bool(scenario.evaluate or scenario.proofs)
    assert bool(scenario.queries) == bool(scenario.evaluate)
    assert all((ROOT / f"docs/runbooks/{name}.md").exists() for name in scenario.runbooks)


def test_scenarios_without_evidence_give_a_reason_and_never_pass() -> None:
    evidence = Evidence(time_range("24h", NOON), NOON, {}, late=False)
    not_evaluated = [scenario for scenario in SCENARIOS if scenario.evaluate is None]
    verdicts = {scenario.id: evaluate(scenario, evidence).verdict for scenario in not_evaluated}
    reasons = {scenario.id: scenario.missing_reason for scenario in SCENARIOS}
    without = {name for name, verdict in verdicts.items() if verdict == Verdict.NO_EVIDENCE}
    assert without == {name for name, reason in reasons.items() if reason} == set()
    assert {verdicts[name] for name in verdicts.keys() - without} == {Verdict.TESTED}
    unproven = replace(not_evaluated[0], proofs=(), missing_reason="nobody has written it")
    assert evaluate(unproven, evidence).verdict == Verdict.NO_EVIDENCE


def test_the_document_is_up_to_date() -> None:
    page = (ROOT / "docs" / "QS-Catalog.md").read_text(encoding="utf-8")
    assert page == document(), "run `make docs`"
    assert re.findall(r"^## (\w\d):", page, re.MULTILINE) == [scenario.id for scenario in SCENARIOS]
    assert page.count("| Response measure |") == len(SCENARIOS)


@pytest.mark.django_db
def test_the_queries_shown_return_the_numbers_shown() -> None:
    orders(3)
    order(10, status="FAILED")
    order(20, status="UNKNOWN")
    order(5, kind="flash")
    order(25 * 60, kind="flash", status="FAILED")  # before the window
    partner = make_partner()
    for at in (ago(5), ago(25 * 60)):
        Ingestion.objects.create(
            partner=partner, status="DONE", finished_at=at, rows=6, absent=1, updated=3, unchanged=4
        )
    for minutes in (1, 25 * 60):
        row("stock_conflicts", minutes, 2)
        row("stock_conflicts", minutes, 0)
        row("throttled_requests", minutes, scope="login", count=5)
    results: dict[str, list[list[tuple[object, ...]]]] = {}
    for scenario in EVALUATED:
        for query in (query for query in scenario.queries if query.language == "SQL"):
            with connection.cursor() as cursor:
                cursor.execute(query.of(time_range("24h", NOON)))
                results.setdefault(scenario.id, []).append(sorted(cursor.fetchall()))
    ((flash_order,),) = results.pop("P2")
    assert None not in flash_order
    assert results == {
        "A1": [[(2,)], [(0,)]],
        "A2": [[("COMPLETED", 4), ("FAILED", 1), ("UNKNOWN", 1)]],
        "P1": [[(5,)]],
        "I1": [[(7, 7)]],
        "I2": [[(0,)]],
    }


def test_queries_cover_the_time_range_shown() -> None:
    queries = EVALUATED[0].queries
    assert "timestamp >= '2026-03-01 13:00:00+00'" in queries[0].of(time_range("24h", NOON))
    weekly = [query.of(time_range("7d", NOON)) for query in queries]
    assert any("[167h]" in text for text in weekly)
    assert "$" not in "".join(weekly)
    hour = time_range("1h", datetime(2026, 3, 2, 12, 0, tzinfo=UTC))
    assert any("[1h]" in query.of(hour) for query in queries)


@pytest.mark.parametrize(
    ("measure", "shown"),
    [
        (Measure("Of", 94.7368, "%", "", met=False), "94.74 %"),
        (Measure("Of", 99.75, "ms", "", met=True), "99.75 ms"),
        (Measure("Of", 12345, "", "", met=True), "12,345"),
        (Measure("Of", 0, "", "", met=True), "0"),
        (Measure("Of", None, "%", "", None), "no data"),
        (Measure("Of", None, "ms", "", None, required=False), "not exercised"),
    ],
)
def test_numbers_are_shown_with_their_unit(measure: Measure, shown: str) -> None:
    assert measure.shown == shown

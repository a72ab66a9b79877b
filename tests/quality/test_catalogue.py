"""The catalogue: complete, told once, and backed by tests and queries that exist."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from quality.catalogue import JUDGED, SCENARIOS
from quality.management.commands.document_scenarios import document
from quality.scenario import Evidence, Measure, Scenario, Verdict, judge
from retail.history.read import time_range
from tests.quality.support import NOON, order, orders, row

ROOT = Path(settings.BASE_DIR).parent
PROOFS = sorted({proof for one in SCENARIOS for proof in one.proofs})


def collected(files: set[str], *options: str, folder: Path = ROOT) -> set[str]:
    """Return the names of the tests that pytest would run, without their parameters."""
    command = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider")
    # Not what is marked to be skipped, or to fail.
    said = subprocess.run(
        [*command, "-m", "not skip and not skipif and not xfail", *options, *sorted(files)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return {line.partition("[")[0] for line in said.stdout.splitlines() if "::" in line}


def missing(proofs: list[str]) -> set[str]:
    return set(proofs) - collected({proof.partition("::")[0] for proof in proofs})


def test_every_test_that_is_named_exists_and_is_not_skipped() -> None:
    assert len(PROOFS) > 30
    assert missing(PROOFS) == set()


def test_a_test_that_is_gone_or_skipped_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(
        "import pytest\n"
        "@pytest.mark.skip\ndef test_skipped(): ...\n"
        "@pytest.mark.skipif(False, reason='now and then')\ndef test_sometimes(): ...\n"
        "@pytest.mark.parametrize('n', [1, 2])\ndef test_runs(n): ...\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    found = collected({file.name}, "-p", "no:django", folder=tmp_path)
    assert found == {"test_some.py::test_runs"}


def test_no_proof_skips_itself_or_needs_what_a_machine_may_lack() -> None:
    assert PROOFS
    for name in {proof.partition("::")[0] for proof in PROOFS}:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "pytest.skip" not in text
        assert "left_out" not in text


def test_the_fourteen_scenarios_in_their_order() -> None:
    ids = "A1 A2 S1 S2 M1 M2 P1 P2 I1 I2 T1 T2 U1 U2"
    assert " ".join(one.id for one in SCENARIOS) == ids
    assert [one.id for one in JUDGED] == ["A1", "A2", "P1", "P2"]
    assert any(one.runbooks for one in SCENARIOS)


@pytest.mark.parametrize("one", SCENARIOS, ids=lambda one: one.id)
def test_each_has_six_parts_and_one_kind_of_evidence(one: Scenario) -> None:
    names = ["Source", "Stimulus", "Environment", "Artifact", "Response", "Response measure"]
    assert [name for name, _ in one.parts] == names
    assert all(text and not text.endswith(".") for _, text in one.parts)
    assert bool(one.missing_reason) != bool(one.judge or one.proofs)
    assert bool(one.queries) == bool(one.judge)
    assert all((ROOT / f"docs/runbooks/{name}.md").exists() for name in one.runbooks)


def test_what_has_no_evidence_says_why_and_is_no_pass() -> None:
    evidence = Evidence(time_range("24h", NOON), NOON, {}, late=False)
    words = {one.id: judge(one, evidence).verdict for one in SCENARIOS if one.judge is None}
    assert {name for name, word in words.items() if word == Verdict.NO_EVIDENCE} == {
        *("M1", "I1", "I2")
    }
    assert {word for name, word in words.items() if name not in {"M1", "I1", "I2"}} == {
        Verdict.TESTED
    }
    lacking = {one.id: one.missing_reason for one in SCENARIOS if one.missing_reason}
    assert lacking.keys() == {"M1", "I1", "I2"}
    assert all("no partner feeds yet" in reason for reason in lacking.values())


def test_the_committed_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "QS-Catalog.md").read_text(encoding="utf-8")
    assert page == document(), "run `make docs`"
    assert re.findall(r"^## (\w\d):", page, re.MULTILINE) == [one.id for one in SCENARIOS]
    assert page.count("| Response measure |") == 14


@pytest.mark.django_db
def test_the_queries_that_are_shown_give_the_numbers_that_are_shown() -> None:
    orders(3)
    order(10, status="FAILED")
    order(20, status="UNKNOWN")
    order(5, kind="flash")
    order(25 * 60, kind="flash", status="FAILED")  # before the window
    for minutes in (1, 25 * 60):
        row("stock_conflicts", minutes)
        row("throttled_requests", minutes, scope="login")
    found: dict[str, list[list[tuple[object, ...]]]] = {}
    for one in JUDGED:
        for asked in (asked for asked in one.queries if asked.language == "SQL"):
            with connection.cursor() as cursor:
                cursor.execute(asked.of(time_range("24h", NOON)))
                found.setdefault(one.id, []).append(sorted(cursor.fetchall()))
    ((_, (made, settled)),) = [("P2", found.pop("P2")[0][0])]
    assert (made is None, settled is None) == (False, False)
    assert found == {
        "A1": [[(1,)], [(0,)]],
        "A2": [[("COMPLETED", 4), ("FAILED", 1), ("UNKNOWN", 1)]],
        "P1": [[(1,)]],
    }


def test_a_query_is_of_the_window_that_is_shown() -> None:
    (asked, *_) = JUDGED[0].queries
    assert "timestamp >= '2026-03-01 13:00:00+00'" in asked.of(time_range("24h", NOON))
    weekly = [one.of(time_range("7d", NOON)) for one in JUDGED[0].queries]
    assert any("[167h]" in text for text in weekly)
    assert "$" not in "".join(weekly)
    young = time_range("1h", datetime(2026, 3, 2, 12, 0, tzinfo=UTC))
    assert any("[1h]" in one.of(young) for one in JUDGED[0].queries)


@pytest.mark.parametrize(
    ("measure", "shown"),
    [
        (Measure("Of", 94.7368, "%", "", kept=False), "94.74 %"),
        (Measure("Of", 99.75, "ms", "", kept=True), "99.75 ms"),
        (Measure("Of", 12345, "", "", kept=True), "12,345"),
        (Measure("Of", 0, "", "", kept=True), "0"),
        (Measure("Of", None, "%", "", None), "nothing to measure"),
        (Measure("Of", None, "ms", "", None, required=False), "not exercised"),
    ],
)
def test_numbers_are_shown_with_their_unit(measure: Measure, shown: str) -> None:
    assert measure.shown == shown

"""`manage.py ingest_feed` says what it did, and why not."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command

from partner_feeds.models import Ingestion, Partner
from products.models import Product

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.django_db
FILE = "sku,name,price,stock\nA1,Kettle,24.90,5\nA2,Pan,0,1\n"


@pytest.fixture
def file(tmp_path: Path, partner: Partner) -> Path:
    path = tmp_path / "products.csv"
    path.write_text(FILE)
    return path


def run(*arguments: object) -> tuple[int, str]:
    """Return exit status and output."""
    written = io.StringIO()
    status = 0
    try:
        call_command("ingest_feed", *map(str, arguments), stdout=written, stderr=written)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, written.getvalue()


def test_a_dry_run_changes_nothing(file: Path) -> None:
    assert run("acme", file, "--dry-run") == (
        0,
        (
            "line 3: The price 0 is not above 0.\n"
            "2 rows, 1 good. Nothing was changed.\n"
            "  1 price_not_positive\n"
        ),
    )
    assert not Ingestion.objects.exists()
    assert not Product.objects.exists()


def test_a_dry_run_says_what_it_would_change_in_a_text(file: Path) -> None:
    file.write_text(f"sku,name,price,stock\nA1,{'x' * 121},1.00,1\n")
    assert run("acme", file, "--dry-run") == (
        0,
        "line 2: name: cut to 120 characters\n1 row, 1 good. Nothing was changed.\n",
    )


def test_a_held_file_says_why_and_how_to_go_on(file: Path) -> None:
    status, text = run("acme", file)
    held = Ingestion.objects.get()
    assert status == 1
    assert text == (
        "line 3: The price 0 is not above 0.\n"
        f"{held.reference} is held. Nothing was changed.\n"
        "  1 of 2 rows are rejected (50 %, normally at most 14 %).\n"
        "To apply it anyway, repeat the command with --apply-anyway REASON.\n"
    )
    status, text = run("acme", file, "--apply-anyway", "The pan is free.")
    done = Ingestion.objects.get(status="DONE")
    assert status == 0
    assert text.splitlines()[-1].startswith(f"{done.reference}: 2 rows in ")
    assert text.endswith(" 1 created, 0 updated, 0 unchanged, 1 rejected.\n")
    assert done.reason == "The pan is free."
    assert run("acme", file)[1].endswith(": the same file as before. Nothing was changed.\n")


def test_it_is_taken_back(file: Path) -> None:
    run("acme", file, "--apply-anyway", "Yes.")
    done = Ingestion.objects.get()
    status, text = run("acme", "--take-back", done.reference.lower())
    assert (status, Product.objects.count()) == (0, 0)
    assert text.endswith(" 0 created, 1 updated, 0 unchanged, 0 rejected.\n")
    with pytest.raises(CommandError, match="was taken back before"):
        run("acme", "--take-back", done.reference)


def test_a_refused_file(file: Path) -> None:
    file.write_text("<html><body>Log in</body></html>")
    words = (
        "The file is refused (html). The file is a web page, perhaps a log-in page, and not a feed."
        " Nothing was changed.\n"
    )
    for arguments in (["--dry-run"], []):
        assert run("acme", file, *arguments) == (2, words)
    assert Ingestion.objects.get().status == "FAILED"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["other", "x.csv"], "There is no partner 'other'; there are: acme."),
        (["acme", "nowhere.csv"], "There is no file nowhere.csv."),
        (["acme"], "Name a file."),
        (["acme", "--take-back", "FD-1"], "Acme has no ingestion FD-1."),
    ],
)
def test_mistakes(file: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert str(caught.value) == words


def test_a_partner_that_is_not_active(file: Path) -> None:
    Partner.objects.update(is_active=False)
    with pytest.raises(CommandError, match="Acme is not active"):
        run("acme", file)

"""The files, tests and make targets that docs/howto names exist, or are its own examples."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted((ROOT / "docs" / "howto").glob("*.md"))
PATH = re.compile(r"\b(?:app|tests|alerts|grafana|docs)/[\w./-]+\.\w+(?:::\w+)?")
# What the examples create.
CREATED = {
    "app/cart/metrics.py",
    "app/cart/templates/cart/printed.html",
    "docs/runbooks/RetailCartsAbandoned.md",
}


def lacking(text: str) -> list[str]:
    """Return the files and tests that a text names and that do not exist."""
    return [name for name in PATH.findall(text) if name not in CREATED and not exists(name)]


def exists(name: str) -> bool:
    file, _, test = name.partition("::")
    path = ROOT / file
    return path.is_file() and (not test or f"\ndef {test}(" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_every_file_and_test_that_a_guide_names_exists(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    assert "tests/" in text
    assert lacking(text) == []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"`make ([\w-]+)`", text)
    assert [one for one in targets if f"\n{one}:" not in makefile] == []


def test_the_readme_links_the_guides_and_they_name_what_they_create() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(GUIDES) > 3
    assert [guide.name for guide in GUIDES if f"(docs/howto/{guide.name})" not in readme] == []
    everything = " ".join(guide.read_text(encoding="utf-8") for guide in GUIDES)
    assert set(PATH.findall(everything)) >= CREATED


@pytest.mark.parametrize(
    "name", ["app/cart/gone.py", "tests/cart/test_pages.py::test_gone", "docs/gone.md"]
)
def test_what_is_missing_is_noticed(name: str) -> None:
    assert lacking(f"Edit `{name}`.") == [name]

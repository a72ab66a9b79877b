"""The list of packages that `make sbom` writes, and what `make audit-deps` asks about."""

import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_list_has_each_locked_package_with_its_version_and_hashes(tmp_path: Path) -> None:
    path = tmp_path / "sbom.json"
    subprocess.run(["make", "sbom", f"SBOM={path}"], cwd=ROOT, check=True, capture_output=True)
    written = json.loads(path.read_text(encoding="utf-8"))
    assert (written["bomFormat"], written["metadata"]["component"]["name"]) == (
        "CycloneDX",
        "vitrine",
    )
    locked = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    packages = re.findall(r"^([a-z][\w.-]*)==([^ ]+)", locked, re.MULTILINE)
    assert len(packages) > 10
    listed = [(each["name"], each["version"]) for each in written["components"]]
    assert sorted(listed) == sorted(packages)
    hashes = [
        one["content"]
        for each in written["components"]
        for reference in each["externalReferences"]
        for one in reference["hashes"]
    ]
    assert sorted(hashes) == sorted(re.findall(r"sha256:(\w{64})", locked))


def test_every_lock_file_is_asked_about() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    [names] = re.findall(r"^LOCK_FILES := (.*)$", makefile, re.MULTILINE)
    found = [
        path.relative_to(ROOT).with_suffix(".txt").as_posix()
        for pattern in ("requirements*.in", "benchmarks/**/*.in", "tools/**/*.in")
        for path in ROOT.glob(pattern)
    ]
    assert sorted(names.split()) == sorted(found)
    assert "$(addprefix -r ,$(LOCK_FILES))" in makefile


def _pinned(path: Path) -> set[tuple[str, str]]:
    text = path.with_suffix(".txt").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][\w.-]*)==([^ ]+)", text, re.MULTILINE))


def test_a_lock_file_has_the_packages_of_those_it_includes() -> None:
    included = [
        (path, path.parent / name)
        for path in [*ROOT.glob("requirements*.in"), *ROOT.glob("tools/*/requirements.in")]
        for name in re.findall(r"^-r (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert included
    for path, other in included:
        assert _pinned(other) - _pinned(path) == set(), path

"""Decision records, changelog, CI and hooks are consistent."""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
ADR = ROOT / "docs" / "adr"
RECORD = re.compile(r"# (\d+)\. (.+)\n\n- Status: (.+)\n- Date: (\d{4}-\d\d-\d\d)\n\n## Context\n")
ROW = re.compile(r"^\| (\d+) \| \[(.+)\]\((.+)\) \| (.+) \| (.+) \|$", re.MULTILINE)
STATUS = re.compile(r"proposed|accepted|superseded by \[\d+\]\(\d{4}-[\w-]+\.md\)")
RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$")


def workflow() -> dict[str, Any]:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def test_every_decision_record_has_status_and_date_and_is_indexed() -> None:
    records = []
    for path in sorted(ADR.glob("[0-9]*.md")):
        head = RECORD.match(path.read_text(encoding="utf-8"))
        assert head, f"{path.name} needs a numbered title, a status, a date, and its context"
        number, title, status, day = head.groups()
        assert path.name.startswith(f"{int(number):04}-"), path.name
        assert STATUS.fullmatch(status), path.name
        assert date.fromisoformat(day), path.name
        records.append((number, title, path.name, status, day))
    assert records
    assert ROW.findall((ADR / "README.md").read_text(encoding="utf-8")) == records


def test_the_newest_release_is_the_projects_version() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    unreleased, *titles = [line for line in lines if line.startswith("## ")]
    assert unreleased == "## [Unreleased]"
    releases = [RELEASE.fullmatch(title) for title in titles]
    assert all(releases), titles
    newest, *_ = [(match[1], date.fromisoformat(match[2])) for match in releases if match]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert newest[0] == project["version"]
    major, minor, _ = newest[0].split(".")
    assert f"| {major}.{minor}.x | yes |" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_ci_runs_the_developers_command_and_is_read_only() -> None:
    assert workflow()["permissions"] == {"contents": "read"}
    jobs = workflow()["jobs"].values()
    assert all("permissions" not in job and job["timeout-minutes"] for job in jobs)
    assert ".ci/run" in [step.get("run") for job in jobs for step in job["steps"]]


def test_hooks_are_checks_of_the_makefile_and_work_offline() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        assert hook["language"] == "system", hook
        command = hook["entry"].removeprefix("env ").replace(".venv/bin/", "$(BIN)/")
        assert command.removesuffix(" --force-exclude") in makefile, hook["entry"]

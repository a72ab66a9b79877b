"""tools/backup.sh without containers: the shop of `make run` is meant."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITH = '#!/bin/sh\necho "$0 $*" >> "$CALLS"\n'


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the script next to programs that only note how they were called."""
    for name in ("tools", "bin", ".venv/bin"):
        (folder / name).mkdir(parents=True)
    script = folder / "tools/backup.sh"
    script.write_text((ROOT / "tools/backup.sh").read_text())
    for path in (script, folder / "bin/docker", folder / "bin/make", folder / ".venv/bin/python"):
        if path != script:
            path.write_text(ENDS_WITH)
        path.chmod(0o755)
    return subprocess.run(
        [script, *arguments],
        env={"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "CALLS": str(folder / "calls")},
        capture_output=True,
        text=True,
        check=False,
    )


def last_call(folder: Path) -> str:
    return (folder / "calls").read_text().splitlines()[-1]


def test_it_backs_up_the_database_of_make_run(tmp_path: Path) -> None:
    done = run(tmp_path, "backup")
    assert done.returncode == 0, done.stderr
    assert last_call(tmp_path) == ".venv/bin/python app/manage.py backup"


def test_it_restores_a_file(tmp_path: Path) -> None:
    dump = tmp_path / "vitrine-1.sqlite3"
    dump.touch()
    done = run(tmp_path, "restore", str(dump), "--replace")
    assert done.returncode == 0, done.stderr
    assert last_call(tmp_path) == f".venv/bin/python app/manage.py restore {dump} --replace"


def test_it_tries_the_last_good_one(tmp_path: Path) -> None:
    folder = tmp_path / "var/backups"
    folder.mkdir(parents=True)
    for name in ("vitrine-1.dump", "vitrine-1.dump.json", "vitrine-2.dump.json", "vitrine-3.dump"):
        (folder / name).touch()
    done = run(tmp_path, "restore-test")
    assert done.returncode == 0, done.stderr
    assert last_call(tmp_path).endswith("restore var/backups/vitrine-2.dump --into-scratch")


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "restore", "elsewhere.dump")
    assert (done.returncode, done.stderr) == (1, "There is no file elsewhere.dump.\n")
    assert not (tmp_path / "calls").exists()

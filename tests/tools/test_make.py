"""`make test` with stand-ins for pytest on both databases, which exit as they are told."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"
ENDS_WITH = "#!/bin/sh\necho %s >> ran\nexit $%s\n"


@pytest.mark.parametrize(
    ("sqlite", "postgres", "status", "ran"),
    [
        (0, 0, 0, "sqlite postgres"),
        (0, 5, 0, "sqlite postgres"),  # 5: pytest found no test
        (5, 0, 0, "sqlite postgres"),
        (5, 5, 2, "sqlite postgres"),  # a misspelled name is an error
        (1, 0, 2, "sqlite"),
        (0, 1, 2, "sqlite postgres"),
        (5, 1, 2, "sqlite postgres"),
    ],
)
def test_selected_tests_may_all_be_of_one_database(
    tmp_path: Path, sqlite: int, postgres: int, status: int, ran: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "tools").mkdir()
    for path, text in {
        "bin/pytest": ENDS_WITH % ("sqlite", "SQLITE"),
        "bin/python": ENDS_WITH % ("postgres", "POSTGRES"),
        "tools/system_tools.sh": "#!/bin/sh\n",
    }.items():
        (tmp_path / path).write_text(text)
        (tmp_path / path).chmod(0o755)
    shutil.copy(MAKEFILE, tmp_path)
    done = subprocess.run(
        # -o: the virtual environment is up to date.
        ["make", "-o", ".venv/.dev", "test", "BIN=bin", "ARGS=-k some"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "SQLITE": str(sqlite), "POSTGRES": str(postgres)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert (tmp_path / "ran").read_text().split() == ran.split()

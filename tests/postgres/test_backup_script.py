"""tools/backup.sh, with a stand-in for Docker that runs what the containers would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.running.backups.support import KEY, Backups
from tests.running.support import APP, PATIENCE, ROOT, RunningShop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The arguments are those of tools/backup.sh.
DOCKER = """#!/bin/sh
set -eu
echo "$*" >> "$CALLS"
case "$*" in
"compose ps "*) echo db ;;
"compose exec -T db sh -c "*) shift 6; exec sh -c "$1" ;;
"compose run --rm --no-deps -T --user "*)
    shift 7
    folder=
    if [ "$1" = --volume ]; then folder=${2%:/restore:ro}; shift 2; fi
    shift 3 # backup python manage.py
    i=$#
    while [ "$i" -gt 0 ]; do
        argument=$1
        shift
        case $argument in /restore/*) argument=$folder/${argument#/restore/} ;; esac
        set -- "$@" "$argument"
        i=$((i - 1))
    done
    cd "$APP"
    exec "$PYTHON" manage.py "$@"
    ;;
*) exit 99 ;;
esac
"""


class Script:
    """The script, and a shop on the server that the stand-in reaches."""

    def __init__(self, backups: Backups, folder: Path) -> None:
        self.backups, self.bin, self.calls = backups, folder / "bin", folder / "calls"
        self.bin.mkdir()
        self.program("docker", DOCKER)

    def program(self, name: str, text: str) -> None:
        """Put a program before all others."""
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def run(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        shop = self.backups.shop.environment
        database = urlsplit(shop["DATABASE_URL"])
        return subprocess.run(
            [ROOT / "tools/backup.sh", *map(str, arguments)],
            env=shop
            | {
                "PATH": f"{self.bin}:{shop['PATH']}",
                "CALLS": str(self.calls),
                "APP": str(APP),
                "PYTHON": sys.executable,
                "POSTGRES_USER": str(database.username),
                "POSTGRES_DB": database.path.strip("/"),
                "PGHOST": str(database.hostname),
                "PGPORT": str(database.port),
                "PGPASSWORD": str(database.password),
            }
            | environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    folder = tmp_path / "backups"
    shop = RunningShop(tmp_path, {"BACKUP_DIR": str(folder)})
    yield Script(Backups(shop, folder), tmp_path)
    shop.close()


def test_it_backs_up_tries_and_restores(script: Script) -> None:
    backups = script.backups
    backups.sell(2)
    before = backups.state()
    made = script.run("backup", BACKUP_KEY=KEY)
    assert made.returncode == 0, made.stderr
    manifest, dump = sorted(backups.folder.iterdir(), key=lambda path: path.suffix != ".json")
    assert dump.name.endswith(".dump.age")
    assert manifest.name == f"{dump.name}.json"
    tried = script.run("restore-test", BACKUP_KEY=KEY)
    assert tried.returncode == 0, tried.stderr
    assert "Restored and audited in " in tried.stderr
    assert "dropdb" in script.calls.read_text()
    rows = "__import__('retail.models').models.Backup.objects"
    measured = f"[row.restore_seconds is not None for row in {rows}.all()]"
    assert backups.shop.query(measured) == [True]
    backups.sell(1)
    refused = script.run("restore", dump, BACKUP_KEY=KEY)
    assert refused.returncode == 1
    assert "The database is not empty" in refused.stderr
    assert "Nothing was restored." in refused.stderr
    assert len(backups.state()[0]) == 3
    backups.forget_database()
    done = script.run("restore", dump, "--replace", BACKUP_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert "charge_has_payment" in done.stderr
    assert backups.state() == before
    assert backups.shop.query(measured) == [True]


@pytest.mark.parametrize("kept", ["head -c 3000", "cat"])
def test_a_dump_that_fails_is_no_backup(script: Script, kept: str) -> None:
    pg_dump = shutil.which("pg_dump", path=script.backups.shop.environment["PATH"])
    script.program("pg_dump", f'#!/bin/sh\n"{pg_dump}" "$@" | {kept}\nexit 1\n')
    done = script.run("backup")
    assert done.returncode != 0
    assert "pg_dump has failed: its output is not complete" in done.stderr
    assert list(script.backups.folder.iterdir()) == []


def test_a_wrong_key_ends_it_before_the_dump(script: Script) -> None:
    done = script.run("backup", BACKUP_KEY="nonsense")
    assert done.returncode != 0
    assert "BACKUP_KEY is not a key" in done.stderr
    assert list(script.backups.folder.iterdir()) == []

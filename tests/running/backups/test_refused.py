"""What cannot be backed up or restored is said, and changes nothing."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.running.backups.support import KEY, Backups
from tests.running.support import APP, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def edit(dump: Path, **values: Any) -> None:
    """Change the manifest."""
    path = dump.with_name(dump.name + ".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def damage(dump: Path) -> None:
    """Change one byte."""
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)


def other_table(dump: Path) -> None:
    """Let the backup be of another version's tables."""
    contents = json.loads(dump.with_name(dump.name + ".json").read_text())["contents"]
    contents["migrations"]["orders"] = "9999_of_tomorrow"
    edit(dump, contents=contents)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (damage, "is damaged"),
    "cut off": (lambda dump: os.truncate(dump, dump.stat().st_size - 1), "is damaged"),
    "missing": (lambda dump: dump.unlink(), "cannot be read: No such file"),
    "no manifest": (
        lambda dump: dump.with_name(dump.name + ".json").unlink(),
        "is not a complete backup",
    ),
    "half a manifest": (
        lambda dump: os.truncate(dump.with_name(dump.name + ".json"), 40),
        "cannot be read: JSONDecodeError",
    ),
    "another engine": (lambda dump: edit(dump, engine="oracle"), "is a backup of oracle"),
    "other tables": (other_table, "the last migration of orders is 9999_of_tomorrow, here 0"),
}


def test_a_backup_that_is_not_right_is_refused(backups: Backups) -> None:
    backups.sell(1)
    dump = backups.make(BACKUP_KEY=KEY)
    kept = shutil.copytree(backups.folder, backups.shop.folder / "kept")
    state = backups.state()
    for name, (spoil, message) in DAMAGES.items():
        spoil(dump)
        done = backups.command("restore", dump, "--replace", BACKUP_KEY=KEY)
        assert (done.returncode, message in done.stderr) == (1, True), (name, done.stderr)
        assert "Traceback" not in done.stderr
        shutil.copytree(kept, backups.folder, dirs_exist_ok=True)
    assert backups.state() == state


def test_only_replace_restores_over_orders(backups: Backups) -> None:
    backups.sell(1)
    dump = backups.make()
    state = backups.state()
    backups.sell(1)
    done = backups.command("restore", dump)
    assert (done.returncode, "The database is not empty" in done.stderr) == (1, True), done.stderr
    assert len(backups.state()[0]) == 2
    backups.shop.start("worker")
    wait_until(
        lambda: "The worker runs" in backups.command("restore", dump, "--replace").stderr,
        "the worker's heartbeat",
    )
    backups.shop.end("worker")
    assert len(backups.state()[0]) == 2
    backups.shop.run("from retail.models import WorkerHeartbeat as W; W.objects.all().delete()")
    backups.forget_database()
    done = backups.command("restore", dump, "--replace")
    assert done.returncode == 0, done.stderr
    assert "charge_has_payment" in done.stderr
    assert backups.state() == state


@pytest.mark.parametrize("key", ["", KEY], ids=["plain", "encrypted"])
def test_a_full_disk_leaves_no_backup(backups: Backups, key: str) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = subprocess.run(
        [sys.executable, "manage.py", "backup"],
        cwd=APP,
        env=backups.shop.unmeasured() | {"BACKUP_KEY": key},
        preexec_fn=small,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "No backup: " in done.stderr
    assert "Traceback" not in done.stderr
    assert backups.files() == []
    assert rows(backups) == 0


def test_a_manifest_that_does_not_fit_leaves_no_dump(backups: Backups) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_MANIFEST],
        cwd=APP,
        env=backups.shop.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1].endswith("BackupError: No backup: no space.")
    assert all(name.endswith(".partial") for name in backups.files())
    assert rows(backups) == 0


NO_MANIFEST = """
import django
django.setup()
from pathlib import Path
from django.conf import settings
from retail.backup import archive, make
synced = []
def full(file):
    if synced:
        raise OSError("no space")
    synced.append(file)
archive._sync = full
make.backup(Path(settings.BACKUP_DIR), "")
"""


def test_a_killed_backup_is_none_and_is_tidied_up_by_the_next(backups: Backups) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HANG],
        cwd=APP,
        env=backups.shop.environment,
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: any(".partial" in name for name in backups.files()), "the dump")
    second = backups.command("backup")
    assert (second.returncode, "is running" in second.stderr) == (1, True), second.stderr
    process.kill()
    process.wait()
    left = backups.files()
    assert left
    assert all(".partial" in name for name in left)
    assert rows(backups) == 0
    dump = backups.make()
    assert backups.files() == [dump.name, f"{dump.name}.json"]
    assert rows(backups) == 1


# Makes a backup that never ends: its dump comes to an end only with the process.
HANG = """
import time
import django
django.setup()
from pathlib import Path
from django.conf import settings
from retail.backup import archive, make
class Endless:
    first = True
    def read(self, size=-1):
        if not self.first:
            time.sleep(3600)
        self.first = False
        return b"x" * 1000
make.store = lambda dump, *rest: archive.store(Endless(), *rest)
make.backup(Path(settings.BACKUP_DIR), "")
"""


def rows(backups: Backups) -> Any:
    """Return how many good backups the shop knows of."""
    return backups.shop.query("__import__('retail.models').models.Backup.objects.count()")

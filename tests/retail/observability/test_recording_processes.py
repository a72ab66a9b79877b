"""Metric rows when processes fork and exit: each is written exactly once."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

FORKS = """
import multiprocessing, os, sys, threading
from retail.observability import record_metric
from retail.observability.rows.recorder import recorder

out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def write(rows):
    os.write(out, "".join(f"{name} {row.value:g}\\n" for row in rows).encode())

def work(first, last, who):
    global name
    name = who
    for number in range(first, last):
        record_metric("orders_per_day", number)

recorder.writer = write
recorder.flush_seconds = 600  # nothing is written before the end
assert threading.active_count() == 1
work(0, 700, "parent")
assert [thread.name for thread in threading.enumerate()][1:] == ["metric-rows"]
forked = os.fork()
if forked == 0:
    assert threading.active_count() == 1
    work(700, 800, "forked")
    assert threading.active_count() == 2
    sys.exit()  # like a gunicorn worker
assert os.waitpid(forked, 0)[1] == 0
child = multiprocessing.get_context("fork").Process(target=work, args=(800, 900, "child"))
child.start()  # like a worker of the job queue
child.join()
assert child.exitcode == 0
name = "parent"
work(900, 910, "parent")
"""

ENDS = """
import os
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()
from django.core.management import call_command
from retail.observability import record_metric
from retail.observability.rows.recorder import recorder
call_command("migrate", "retail", verbosity=0)
record_metric("orders_per_day", 1, {"order_ref": "VT-1"})
recorder.intervals.add_request(200, 0.25)
"""


def run(script: str, *arguments: str, **environment: str) -> None:
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, **environment},
        check=True,
    )


def test_forked_processes_write_only_their_own_rows(tmp_path: Path) -> None:
    run(FORKS, str(tmp_path / "rows"))
    rows = [line.split() for line in (tmp_path / "rows").read_text().splitlines()]
    written = {
        name: [int(number) for who, number in rows if who == name]
        for name in ("parent", "forked", "child")
    }
    assert written == {
        "parent": [*range(700), *range(900, 910)],
        "forked": list(range(700, 800)),
        "child": list(range(800, 900)),
    }


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_queue_is_written_when_a_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite3"
    run(
        ENDS,
        DATABASE_URL=f"sqlite:///{path}",
        METRIC_FLUSH_SECONDS="600",
        VAR_DIR=str(tmp_path),
        LOG_DIR=str(tmp_path),
    )
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT metric_type, value FROM retail_metric ORDER BY id").fetchall()
    connection.close()
    assert rows == [("orders_per_day", 1), ("error_rate", 0), ("avg_response_time", 250)]

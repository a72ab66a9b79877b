"""Multiprocess roles: exact totals, a bounded number of files, no gauges of dead processes."""

import os
from pathlib import Path

import pytest

from tests.retail.observability.roles import ERRORS, IN_PROGRESS, Role

COME_AND_GO = """
import os
from retail.observability.prometheus import catalogue
for _ in range(int(__import__("sys").argv[1])):
    pid = os.fork()
    if pid == 0:
        catalogue.TELEMETRY_ERRORS.inc(sink="rows")
        catalogue.HTTP_IN_PROGRESS.inc()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""

TWO_SCRAPES = """
import threading
from retail.observability.prometheus import slots

forget = slots._forget_gauges
second = threading.Thread(target=slots.forget_dead_gauges)
seen = []

def forget_while_another_scrape_comes(path, slot):
    if not seen:
        seen.append(slot)
        second.start()
        second.join(timeout=0.3)
        # It neither interfered nor released our lock.
        assert second.is_alive()
    forget(path, slot)

slots._forget_gauges = forget_while_another_scrape_comes
slots.forget_dead_gauges()
second.join()
print(*seen)
"""


@pytest.fixture
def role(tmp_path: Path) -> Role:
    folder = tmp_path / "web"
    folder.mkdir()
    return Role(folder)


def test_totals_outlive_their_processes_but_gauges_do_not(role: Role) -> None:
    with role.process(1), role.process(2) as second:
        assert role.numbers() == (3, 2, 2)
        second.kill()
        second.wait()
        assert role.numbers() == (3, 2, 1)
        with role.process(4):
            # It continues with the totals of its free slot.
            assert role.numbers() == (7, 3, 2)
    assert role.numbers() == (7, 3, 0)
    assert role.slots() == 3  # two running and the scraped one


def test_the_number_of_files_is_that_of_concurrent_processes(role: Role) -> None:
    role.run(COME_AND_GO, "2")
    files = sorted(file.name for file in role.folder.iterdir())
    assert "counter_slot0.db" in files
    assert "counter_slot1.db" in files
    role.run(COME_AND_GO, "30")
    assert sorted(file.name for file in role.folder.iterdir()) == files
    assert role.slots() == 2  # the parent and one child at a time
    scraped = role.scrape()
    assert scraped[ERRORS] == 32
    assert scraped[IN_PROGRESS] == 0


def test_concurrent_scrapes_delete_dead_gauges_one_after_the_other(role: Role) -> None:
    role.run(COME_AND_GO, "1")  # leaves slot0, which the next process takes, and slot1
    assert role.run(TWO_SCRAPES) == "slot1\n"


def test_series_exist_from_the_start(role: Role) -> None:
    scraped = role.scrape()
    assert scraped['retail_telemetry_errors_total{sink="log"}'] == 0
    assert scraped["retail_metric_rows_dropped_total"] == 0
    assert not any(name.startswith("retail_http_request_duration") for name in scraped)


def test_the_role_starts_with_an_empty_folder_set_for_prometheus_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from config.processes import use_metric_files  # noqa: PLC0415

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    monkeypatch.setenv("METRIC_FILES_DIR", str(tmp_path))
    left = tmp_path / "web" / "counter_slot0.db"
    left.parent.mkdir()
    left.write_bytes(b"old")
    use_metric_files("web")
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(tmp_path / "web")
    assert list(left.parent.iterdir()) == []

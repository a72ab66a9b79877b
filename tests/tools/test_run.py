"""`tools/run.py` with real processes: a copy next to a minimal stand-in for the shop."""

import os
import pty
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.house import MANAGE, PATIENCE, House, alive, free_ports
from tools import run


@pytest.mark.parametrize("value", ["many", "-1", "2.5", "21", "٣"])
def test_an_invalid_number_of_shoppers_is_reported_in_one_line(house: House, value: str) -> None:
    done = house.run(SHOPPERS=value)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"SHOPPERS={value} must be a whole number from 0 to 20.\n"
    assert not (house.root / "var").exists()


@pytest.mark.parametrize("name", ["PORT", "GATEWAY_PORT", "WORKER_METRICS_PORT"])
def test_a_busy_port_is_reported_with_the_variable_to_change(house: House, name: str) -> None:
    with socket.create_server(("127.0.0.1", int(house.ports[name]))):
        done = house.run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"Cannot use port {house.ports[name]} (Address already in use): "
        f"free it, or choose another with `make run {name}=…`.\n"
    )


def test_two_programs_cannot_share_a_port(house: House) -> None:
    done = house.run(GATEWAY_PORT=house.ports["PORT"])
    assert done.returncode == 2
    assert done.stderr == (
        f"PORT and GATEWAY_PORT are both {house.ports['PORT']}: change one of them.\n"
    )


def test_a_failing_step_shows_its_output_and_nothing_starts(house: House) -> None:
    done = house.run(BREAK="create_admin")
    assert done.returncode == 1
    assert "the step's own words" in done.stdout
    assert done.stderr == "Preparing the administrator failed with code 4.\n"
    steps = (house.root / "var" / "steps").read_text().splitlines()
    assert steps == ["migrate --noinput", "create_admin"]


def test_a_signal_during_preparation_exits_with_0(house: House) -> None:
    (house.root / "app" / "manage.py").write_text(MANAGE + "time.sleep(600)")
    house.launch()
    steps = house.root / "var" / "steps"
    house.wait_for(lambda: steps.exists() and steps.read_text() == "migrate --noinput\n")
    assert house.process
    house.process.send_signal(signal.SIGINT)
    assert house.process.wait(PATIENCE) == 0
    assert steps.read_text() == "migrate --noinput\n"
    assert house.output() == "Stopping…\nEverything has stopped.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_process_and_exits_with_0(house: House, number: int) -> None:
    process = house.start()
    pids = house.worker_pids()
    assert [alive(pid) for pid in pids] == [True, True]
    process.send_signal(number)
    assert process.wait(PATIENCE) == 0
    assert [alive(pid) for pid in pids] == [False, False]
    assert house.output().endswith("\nEverything has stopped.\n")


def test_output_of_programs_is_unchanged(house: House) -> None:
    house.start()
    assert '{"event": "worker is up"}' in house.output().splitlines()


def test_odd_characters_in_paths_and_a_terminal(tmp_path: Path) -> None:
    odd = tmp_path / 'it\'s 100% #1; "odd" $HOME é'
    odd.mkdir()
    python = odd / "python"
    python.symlink_to(sys.executable)
    house = House(odd / "shop")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [python, "tools/run.py"],
        cwd=house.root,
        env=house.environment(PYTHONPATH=str(Path(pytest.__file__).parent.parent), SHOPPERS="1"),
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    output = ""

    def has_begun() -> bool:
        nonlocal output
        if select.select([ours], [], [], 0.1)[0]:
            output += os.read(ours, 65536).decode()
        return all(text in output for text in ("worker is up", "--shoppers 1", "Ctrl-C stops"))

    try:
        house.wait_for(has_begun)
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0, output
        os.close(ours)
        os.close(theirs)
    assert [alive(pid) for pid in house.worker_pids()] == [False, False]


def test_two_shops_run_side_by_side(house: House, tmp_path: Path) -> None:
    other = House(tmp_path / "other")
    try:
        house.start()
        other.start()
        house_pids, other_pids = house.worker_pids(), other.worker_pids()
        assert house.process
        house.process.terminate()
        assert house.process.wait(PATIENCE) == 0
        assert [alive(pid) for pid in house_pids + other_pids] == [False, False, True, True]
    finally:
        assert other.process
        other.process.terminate()
        assert other.process.wait(PATIENCE) == 0


def test_a_second_shop_in_the_same_folder_is_refused(house: House) -> None:
    house.start()
    ports = free_ports()
    done = house.run(**ports)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"Another shop is running in {house.root / 'var'}: stop it, or choose other folders with "
        "`make run VAR_DIR=… LOG_DIR=…`.\n"
    )


def test_the_banner_lists_all_addresses_and_shoppers_start(house: House) -> None:
    house.start(SHOPPERS="2")
    shop = f"http://127.0.0.1:{house.ports['PORT']}"
    house.wait_for(lambda: f"--url {shop} --shoppers 2\n" in house.output())
    output = house.output()
    assert f"Shop      {shop}/\n" in output
    assert f"Products  {shop}/products/\n" in output
    assert f"Admin     {shop}/admin/   log in as admin / admin123\n" in output
    worker = f"http://127.0.0.1:{house.ports['WORKER_METRICS_PORT']}/metrics"
    assert f"Dashboard {shop}/metrics/dashboard/\n" in output
    assert f"Quality   {shop}/metrics/quality-scenarios/\n" in output
    assert f"Metrics   {shop}/metrics\n" in output
    assert f"          {worker} (worker, with flash-sale payments)\n" in output
    assert f"Gateway   http://127.0.0.1:{house.ports['GATEWAY_PORT']}/\n" in output
    assert f"Log       tail -F {house.root / 'logs' / 'application.log'} | jq\n" in output


def test_with_zero_shoppers_none_start(house: House) -> None:
    process = house.start(SHOPPERS="0")
    assert "Shoppers  none\n" in house.output()
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert "--shoppers" not in house.output()


def test_a_dot_env_file_is_not_read(house: House) -> None:
    for folder in (house.root, house.root / "app"):
        (folder / ".env").write_text("DATABASE_URL=postgresql://nowhere/shop\nDEBUG=False\n")
    house.start()
    environment = (house.root / "var" / "environment").read_text()
    assert environment == (
        '{"DATABASE_URL": null, "DEBUG": "True", "LOG_CONSOLE_LEVEL": "WARNING", '
        f'"GATEWAY_URL": "http://127.0.0.1:{house.ports["GATEWAY_PORT"]}", '
        '"PYTHONUNBUFFERED": "1"}'
    )


def test_exported_settings_are_used() -> None:
    plan = run.read_plan({})
    assert plan == run.Plan(port=8000, gateway_port=8001, worker_port=8002, shoppers=3)
    exported = {"DATABASE_URL": "postgresql://somewhere/shop", "LOG_CONSOLE_LEVEL": "INFO"}
    environment = run.environment({**exported, "DEBUG": "", "VAR_DIR": "/srv/var"}, plan)
    assert environment == {
        "DATABASE_URL": "postgresql://somewhere/shop",
        "LOG_CONSOLE_LEVEL": "INFO",
        "DEBUG": "True",
        "GATEWAY_URL": "http://127.0.0.1:8001",
        "VAR_DIR": "/srv/var",
        "GATEWAY_LEDGER": "/srv/var/gateway.sqlite3",
        "METRIC_FILES_DIR": "/srv/var/metrics",
        "LOG_DIR": str(run.ROOT / "logs"),
        "PORT": "8000",
        "GATEWAY_PORT": "8001",
        "WORKER_METRICS_PORT": "8002",
        "SHOPPERS": "3",
        "PYTHONUNBUFFERED": "1",
    }

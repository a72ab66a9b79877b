"""`tools/run.py` with programs that are killed, do not start, or do not stop."""

import os
import signal

from tests.tools.house import MANAGE, PATIENCE, WSGI, House, alive


def test_a_killed_program_is_restarted_without_its_old_children(house: House) -> None:
    process = house.start()
    leader, child = house.worker_pids()
    os.kill(leader, signal.SIGKILL)
    house.wait_for(lambda: house.worker_pids() != [leader, child])
    house.wait_for(lambda: "worker exited (terminated by SIGKILL) and was" in house.output())
    assert not alive(child)
    pids = house.worker_pids()
    assert [alive(pid) for pid in pids] == [True, True]
    assert process.poll() is None
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert [alive(pid) for pid in pids] == [False, False]
    output = house.output()
    assert output.count("\nworker exited (terminated by SIGKILL) and was restarted.\n") == 1
    assert output.count("worker is up") == 2


def test_a_program_that_cannot_start_is_reported_and_stops_the_shop(house: House) -> None:
    (house.root / "app" / "gateway_simulator.py").write_text(
        "import sys; sys.exit('words of the gateway')"
    )
    done = house.run()
    assert done.returncode == 1
    assert done.stderr == ("gateway cannot start (exit status 1), so everything was stopped.\n")
    assert done.stdout.count("words of the gateway\n") == 3
    assert done.stdout.count("gateway exited (exit status 1) and was restarted.\n") == 2
    assert [alive(pid) for pid in house.worker_pids()] == [False, False]


def test_a_killed_supervisord_is_an_error_and_leaves_no_process(house: House) -> None:
    process = house.start()
    pids = house.worker_pids()
    os.kill(int((house.root / "var" / "supervisord.pid").read_text()), signal.SIGKILL)
    assert process.wait(PATIENCE) == 1
    assert [alive(pid) for pid in pids] == [False, False]
    assert house.output().endswith(
        "supervisord exited unexpectedly with code -9, so everything was stopped.\n"
    )


def test_a_program_that_ignores_sigterm_is_killed(house: House) -> None:
    house.change("supervisord.conf", "stopwaitsecs = 12", "stopwaitsecs = 1")
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    (house.root / "app" / "manage.py").write_text(deaf + MANAGE)
    process = house.start()
    pids = house.worker_pids()
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert [alive(pid) for pid in pids] == [False, False]
    assert "worker did not stop in time and was killed.\n" in house.output()


def test_a_supervisord_that_does_not_stop_is_killed(house: House) -> None:
    house.change("run.py", "STOP_SECONDS = 15", "STOP_SECONDS = 1")
    process = house.start()
    pids = house.worker_pids()
    os.kill(int((house.root / "var" / "supervisord.pid").read_text()), signal.SIGSTOP)
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert [alive(pid) for pid in pids] == [False, False]


def test_a_slow_start_is_reported_once(house: House) -> None:
    house.change("run.py", "PATIENCE_SECONDS = 60", "PATIENCE_SECONDS = 0")
    (house.root / "app" / "config" / "wsgi.py").write_text("import time; time.sleep(2)\n" + WSGI)
    house.start()
    log = house.root / "logs" / "application.log"
    assert house.output().count(f"The shop does not respond yet. See the log: {log}\n") == 1

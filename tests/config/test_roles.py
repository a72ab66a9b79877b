"""postgres/roles.sh on real servers: a new volume, and one in which the shop is the superuser."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg2
import pytest

from tests.config.compose import ROOT
from tools import with_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOP = {"SHOP_USER": "retail_user", "POSTGRES_PASSWORD": "retail_password"}
EXPORTER = {"POSTGRES_EXPORTER_PASSWORD": 'an exporter\'s "password"'}
RIGHTS = (
    "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
)


class Server:
    """A server that trusts whoever reaches its socket, as PostgreSQL's image does."""

    def __init__(self, server: with_postgres.Postgres) -> None:
        self.port = server.port
        data = server.folder / "data"
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(f"unix_socket_directories = '{server.folder}'\n")
        (data / "pg_hba.conf").write_text("local all all trust\nhost all all all scram-sha-256\n")
        server.restart()
        self.environment = {
            "PATH": f"{server.programs}:{os.environ['PATH']}",
            "PGHOST": str(server.folder),
            "PGPORT": str(server.port),
            "POSTGRES_DB": "retail_db",
        }

    def psql(self, user: str, *statements: str, database: str = "retail_db") -> None:
        """Run statements on the socket, without a password."""
        options = [f"--command={statement}" for statement in statements]
        command = ["psql", "-qXU", user, "-v", "ON_ERROR_STOP=1", *options, database]
        subprocess.run(command, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def url(self, user: str, password: str, database: str = "retail_db") -> str:
        """Return the address from outside."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    @property
    def shop(self) -> str:
        """The shop's DATABASE_URL."""
        return self.url("retail_user", "retail_password")

    def roles(self, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        return subprocess.run(
            ["sh", "roles.sh"],
            cwd=ROOT / "postgres",
            env={**self.environment, **SHOP, **EXPORTER, **changed},
            capture_output=True,
            text=True,
            check=False,
        )

    def ask(self, url: str, statement: str) -> list[tuple[object, ...]]:
        """Run a statement and return its rows."""
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def ask_exporter(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as the exporter."""
        password = EXPORTER["POSTGRES_EXPORTER_PASSWORD"]
        opened = psycopg2.connect(self.url("exporter", quote(password)))
        with closing(opened) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the shop."""
        folders = {name: f"{self.environment['PGHOST']}/{name}" for name in ("VAR_DIR", "LOG_DIR")}
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT / "app",
            env={
                "PATH": os.environ["PATH"],
                "DEBUG": "True",
                "DATABASE_URL": self.shop,
                **folders,
            },
            capture_output=True,
            text=True,
            check=True,
        )


@pytest.fixture(scope="module", params=["new", "existing"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Yield a server as the image makes it now, or as earlier versions did; after the script."""
    with with_postgres.postgres(fsync=False) as made:
        server = Server(made)
        first = "postgres" if request.param == "new" else "retail_user"
        for statement in ("CREATE DATABASE retail_db", "CREATE ROLE helper SUPERUSER LOGIN"):
            server.psql("vitrine", statement, database="vitrine")
        server.psql("helper", f"ALTER ROLE vitrine RENAME TO {first}", database="vitrine")
        server.psql(first, f"ALTER ROLE {first} PASSWORD 'retail_password'", "DROP ROLE helper")
        if request.param == "existing":
            server.manage("migrate", "--noinput", "--verbosity=0")
            server.manage("populate_products")
            old = psycopg2.connect(server.shop)
        done = server.roles()
        assert (done.returncode, done.stderr) == (0, "")
        if request.param == "existing":
            with old.cursor() as cursor, pytest.raises(psycopg2.OperationalError):
                cursor.execute("SELECT 1")  # it would still have the superuser's rights
        server.manage("migrate", "--noinput", "--verbosity=0")
        yield server


def test_the_shop_works_as_a_user_without_rights(server: Server) -> None:
    assert server.ask(server.shop, RIGHTS) == [(False,)]
    server.manage("populate_products")
    assert server.ask(server.shop, "SELECT count(*) FROM products_product") == [(10,)]
    # The index of searches needs an extension.
    index = "SELECT count(*) FROM pg_indexes WHERE indexname = 'product_search'"
    assert server.ask(server.shop, index) == [(1,)]


def test_the_shop_owns_its_schema_and_all_in_it(server: Server) -> None:
    others = (
        "SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = 'public'::regnamespace"
        " AND pg_get_userbyid(relowner) <> 'retail_user'"
    )
    assert server.ask(server.shop, others) == []
    owned = (
        "SELECT objid FROM pg_shdepend WHERE deptype = 'o' AND refobjid = 'retail_user'::regrole"
        " AND dbid <> (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    assert server.ask(server.shop, owned) == []
    server.ask(server.shop, "ALTER TABLE products_product ADD COLUMN later int")
    server.ask(server.shop, "ALTER TABLE products_product DROP COLUMN later")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE friend",
        "CREATE DATABASE another",
        "CREATE SCHEMA another",
        "ALTER ROLE exporter PASSWORD 'mine'",
        "ALTER ROLE retail_user SUPERUSER",
        "SET ROLE postgres",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT rolpassword FROM pg_authid",
        "ALTER SYSTEM SET fsync = off",
        "ALTER DATABASE retail_db SET synchronous_commit = off",
    ],
)
def test_the_shop_may_do_nothing_else(server: Server, statement: str) -> None:
    with pytest.raises(psycopg2.Error, match=r"permission denied|must be owner"):
        server.ask(server.shop, statement)


@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_the_shop_opens_no_other_database(server: Server, database: str) -> None:
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        server.ask(server.url("retail_user", "retail_password", database), "SELECT 1")


def test_the_superuser_cannot_log_in_from_outside(server: Server) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        server.ask(server.url("postgres", "retail_password"), "SELECT 1")


def test_the_exporter_reads_statistics_but_no_table(server: Server) -> None:
    roles = "SELECT pg_has_role('pg_monitor', 'MEMBER'), pg_has_role('retail_user', 'MEMBER')"
    assert server.ask_exporter(roles) == [(True, False)]
    sizes = (
        "SELECT datname, pg_database_size(datname) > 0 FROM pg_database WHERE datname <> 'vitrine'"
    )
    assert ("retail_db", True) in server.ask_exporter(sizes)
    hidden = "SELECT count(*) FROM pg_stat_activity WHERE query = '<insufficient privilege>'"
    assert server.ask_exporter(hidden) == [(0,)]
    with pytest.raises(psycopg2.Error, match="permission denied"):
        server.ask_exporter("SELECT * FROM public.accounts_session")


def test_it_can_be_repeated_and_changes_passwords(server: Server) -> None:
    done = server.roles(POSTGRES_PASSWORD="another", POSTGRES_EXPORTER_PASSWORD="b")
    assert (
        done.stdout == "retail_user owns its schema and nothing else; exporter reads statistics\n"
    )
    assert server.ask(server.url("retail_user", "another"), RIGHTS) == [(False,)]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        server.ask_exporter("SELECT 1")
    assert server.roles().returncode == 0
    assert server.ask(server.shop, RIGHTS) == [(False,)]
    assert server.ask_exporter("SELECT 1") == [(1,)]


def test_what_fails_changes_nothing(server: Server) -> None:
    done = server.roles(SHOP_USER="postgres", POSTGRES_EXPORTER_PASSWORD="changed")
    assert done.returncode != 0
    assert "permission denied to alter role" in done.stderr  # the superuser cannot be the shop
    assert server.ask(server.shop, RIGHTS) == [(False,)]
    assert server.ask_exporter("SELECT 1") == [(1,)]

"""A commit is on disk whatever the server's own default is, or the shop refuses to start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from retail.db.checks import commits_are_durable
from retail.startup import refuse_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db(transaction=True)


def setting(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        return str(cursor.fetchone()[0])


def found() -> list[str | None]:
    return [message.id for message in commits_are_durable(databases=["default"])]


@pytest.fixture
def _careless_database() -> Iterator[None]:
    """Let commits of this database not wait for the disk, unless a connection says otherwise."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    connection.close()
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} RESET synchronous_commit")
    connection.close()


@pytest.mark.usefixtures("_careless_database")
def test_the_shops_connections_wait_for_the_disk_whatever_the_servers_default() -> None:
    assert setting("synchronous_commit") == "on"
    assert "retail.E001" not in found()
    refuse_errors()


def test_the_shop_refuses_to_start_if_something_between_turns_it_off() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    try:
        assert "retail.E001" in found()
        with pytest.raises(ImproperlyConfigured, match="charged for orders that the database has"):
            refuse_errors()
    finally:
        connection.close()


def test_a_server_without_fsync_is_a_warning() -> None:
    assert ("retail.W001" in found()) == (setting("fsync") == "off")

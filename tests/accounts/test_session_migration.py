"""Sessions whose keys were stored as they are do not outlive the migration."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from tests.support import migrate


@pytest.mark.usefixtures("migrated_afterwards")
def test_plain_keys_are_deleted() -> None:
    migrate(("accounts", "0005_drop_axes"))
    old = MigrationExecutor(connection).loader.project_state(("accounts", "0005_drop_axes"))
    old.apps.get_model("accounts", "Session").objects.create(
        session_key="k" * 32, session_data="", expire_date=timezone.now(), user_id=1
    )
    migrate(("accounts", "0006_hashed_sessions"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM accounts_session")
        assert cursor.fetchone() == (0,)

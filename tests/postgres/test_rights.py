"""`check --deploy` names a database user that may do more than its work takes."""

from __future__ import annotations

import pytest
from django.core.checks import Tags, run_checks
from django.db import connection

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]


def _found() -> set[str | None]:
    messages = run_checks(
        tags=[Tags.database], include_deployment_checks=True, databases=["default"]
    )
    return {message.id for message in messages} & {"retail.W002"}


@pytest.mark.parametrize("right", ["SUPERUSER", "CREATEROLE", "CREATEDB"])
def test_more_rights_than_needed_are_a_warning(right: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE tenant {right}")
        cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO tenant")
        cursor.execute("SET LOCAL ROLE tenant")
        assert _found() == {"retail.W002"}
        cursor.execute("RESET ROLE")
        cursor.execute(f"ALTER ROLE tenant NO{right}")
        cursor.execute("SET LOCAL ROLE tenant")
        assert _found() == set()

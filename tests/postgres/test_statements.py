"""A connection prepares a statement once, and again what has changed."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from retail.statements import Statement

pytestmark = pytest.mark.django_db(transaction=True)

NAMED = Statement(
    "named",
    "SELECT id FROM products_product WHERE name = %(name)s AND stock > %(least)s",
    {"least": "integer", "name": "text"},
)


def verbs(statement: Statement) -> list[str]:
    """Run it; return the statements' verbs."""
    with CaptureQueriesContext(connection) as captured:
        statement.rows({"name": "", "least": 0})
    return [query["sql"].split()[0] for query in captured]


def test_a_connection_prepares_once() -> None:
    connection.close()
    assert verbs(NAMED) == ["PREPARE", "EXECUTE"]
    assert verbs(NAMED) == ["EXECUTE"]
    connection.close()
    assert verbs(NAMED) == ["PREPARE", "EXECUTE"]


def test_another_text_under_the_same_name_takes_its_place() -> None:
    connection.close()
    other = Statement("named", NAMED.text.replace(">", ">="), NAMED.types)
    assert verbs(NAMED) == ["PREPARE", "EXECUTE"]
    assert verbs(other) == ["DEALLOCATE", "PREPARE", "EXECUTE"]
    assert verbs(other) == ["EXECUTE"]
    assert verbs(NAMED) == ["DEALLOCATE", "PREPARE", "EXECUTE"]


def test_what_was_prepared_in_a_transaction_that_is_undone_stays_prepared() -> None:
    connection.close()
    connection.set_autocommit(False)
    try:
        assert verbs(NAMED) == ["PREPARE", "EXECUTE"]
        connection.rollback()
        assert verbs(NAMED) == ["EXECUTE"]
    finally:
        connection.rollback()
        connection.set_autocommit(True)

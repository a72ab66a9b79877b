"""A connection prepares each statement once, and again if its text changes."""

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from products.models import Category
from retail.db.prepared import Statement

pytestmark = pytest.mark.django_db(transaction=True)

NAMED = Statement(
    "named",
    "SELECT id FROM products_product WHERE name = %(name)s AND stock > %(least)s",
    {"least": "integer", "name": "text"},
)


def verbs(statement: Statement) -> list[str]:
    """Run a statement; return the verbs sent to the database."""
    with CaptureQueriesContext(connection) as captured:
        statement.rows({name: 0 if name == "least" else "" for name in statement.types})
    return [query["sql"].split()[0] for query in captured]


def test_a_connection_prepares_a_statement_once() -> None:
    connection.close()
    assert verbs(NAMED) == ["PREPARE", "EXECUTE"]
    assert verbs(NAMED) == ["EXECUTE"]
    connection.close()
    assert verbs(NAMED) == ["PREPARE", "EXECUTE"]


def test_a_new_text_replaces_the_statement_of_the_same_name() -> None:
    connection.close()
    other = Statement("named", NAMED.text.replace(">", ">="), NAMED.types)
    assert verbs(NAMED) == ["PREPARE", "EXECUTE"]
    assert verbs(other) == ["DEALLOCATE", "PREPARE", "EXECUTE"]
    assert verbs(other) == ["EXECUTE"]
    assert verbs(NAMED) == ["DEALLOCATE", "PREPARE", "EXECUTE"]


def test_a_statement_prepared_in_a_rolled_back_transaction_stays_prepared() -> None:
    connection.close()
    connection.set_autocommit(False)
    try:
        assert verbs(NAMED) == ["PREPARE", "EXECUTE"]
        connection.rollback()
        assert verbs(NAMED) == ["EXECUTE"]
    finally:
        connection.rollback()
        connection.set_autocommit(True)


@pytest.mark.parametrize(
    "invalidate", ["DEALLOCATE ALL", "ALTER TABLE products_category ALTER name TYPE varchar(61)"]
)
def test_an_invalid_statement_is_prepared_again(invalidate: str) -> None:
    text = "SELECT name FROM products_category WHERE name <> %(name)s"
    names = Statement("names", text, {"name": "text"})
    lamps = Category.objects.create(name="Lamps", slug="lamps")
    assert names.rows({"name": ""}) == [(lamps.name,)]
    with connection.cursor() as cursor:
        cursor.execute(invalidate)
    try:
        with pytest.raises(DatabaseError), transaction.atomic():
            names.rows({"name": ""})
        assert names.rows({"name": ""}) == [("Lamps",)]
        assert verbs(names) == ["EXECUTE"]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE products_category ALTER name TYPE varchar(60)")


def test_other_errors_are_not_retried() -> None:
    division = Statement("division", "SELECT 1 / %(divisor)s", {"divisor": "integer"})
    assert division.rows({"divisor": 1}) == [(1,)]
    before = connection.connection
    with pytest.raises(DatabaseError):
        division.rows({"divisor": 0})
    assert connection.connection is before

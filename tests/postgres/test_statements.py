"""A connection prepares a statement once, and again what has changed."""

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
    """Run it; return the statements' verbs."""
    with CaptureQueriesContext(connection) as captured:
        statement.rows({name: 0 if name == "least" else "" for name in statement.types})
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


@pytest.mark.parametrize(
    "spoil", ["DEALLOCATE ALL", "ALTER TABLE products_category ALTER name TYPE varchar(61)"]
)
def test_what_is_no_longer_good_is_prepared_anew(spoil: str) -> None:
    text = "SELECT name FROM products_category WHERE name <> %(name)s"
    names = Statement("names", text, {"name": "text"})
    lamps = Category.objects.create(name="Lamps", slug="lamps")
    assert names.rows({"name": ""}) == [(lamps.name,)]
    with connection.cursor() as cursor:
        cursor.execute(spoil)
    try:
        with pytest.raises(DatabaseError), transaction.atomic():
            names.rows({"name": ""})
        assert names.rows({"name": ""}) == [("Lamps",)]
        assert verbs(names) == ["EXECUTE"]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE products_category ALTER name TYPE varchar(60)")


def test_another_error_is_not_tried_again() -> None:
    wrong = Statement("wrong", "SELECT 1 / %(one)s", {"one": "integer"})
    assert wrong.rows({"one": 1}) == [(1,)]
    before = connection.connection
    with pytest.raises(DatabaseError):
        wrong.rows({"one": 0})
    assert connection.connection is before

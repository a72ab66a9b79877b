"""Database metrics with django-prometheus' names, on both databases."""

import pytest
from django.db import DatabaseError, connection, transaction
from prometheus_client import REGISTRY

from retail.models import Metric

pytestmark = pytest.mark.django_db


def counted(name: str, **labels: str) -> float:
    values = {"alias": "default", "vendor": connection.vendor, **labels}
    return REGISTRY.get_sample_value(name, values) or 0


def numbers() -> dict[str, float]:
    names = ("django_db_execute_total", "django_db_execute_many_total")
    return {
        **{name: counted(name) for name in names},
        "timed": counted("django_db_query_duration_seconds_count"),
    }


def test_a_statement_is_counted_and_timed_once() -> None:
    before = numbers()
    assert not Metric.objects.exists()
    assert {name: value - before[name] for name, value in numbers().items()} == {
        "django_db_execute_total": 1,
        "django_db_execute_many_total": 0,
        "timed": 1,
    }


def test_executemany_counts_each_row_and_one_duration() -> None:
    table = connection.ops.quote_name(Metric._meta.db_table)
    before = numbers()
    with connection.cursor() as cursor:
        cursor.executemany(f"DELETE FROM {table} WHERE id = %s", [[1], [2], [3]])  # noqa: S608
    assert {name: value - before[name] for name, value in numbers().items()} == {
        "django_db_execute_total": 3,
        "django_db_execute_many_total": 3,
        "timed": 1,
    }


def test_an_error_is_counted_by_its_type_and_still_raised_and_timed() -> None:
    kind = "UndefinedTable" if connection.vendor == "postgresql" else "OperationalError"
    before, errors = numbers(), counted("django_db_errors_total", type=kind)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM no_such_table")
    assert counted("django_db_errors_total", type=kind) == errors + 1
    after = numbers()
    # The savepoint and its rollback are statements too.
    assert after["django_db_execute_total"] - before["django_db_execute_total"] >= 1
    assert after["timed"] - before["timed"] == (
        after["django_db_execute_total"] - before["django_db_execute_total"]
    )


def test_a_new_connection_is_counted() -> None:
    before = counted("django_db_new_connections_total")
    another = connection.copy()
    another.connect()
    another.close()
    assert counted("django_db_new_connections_total") == before + 1


def broken_transaction(queries: int) -> dict[str, float]:
    """Run queries in a broken transaction; return what was counted."""
    before = numbers()
    with transaction.atomic():
        transaction.set_rollback(True)
        for _ in range(queries):
            with pytest.raises(DatabaseError):
                Metric.objects.exists()
    return {name: value - before[name] for name, value in numbers().items()}


def test_statements_in_a_broken_transaction_are_not_counted() -> None:
    assert broken_transaction(3) == broken_transaction(0)
    assert counted("django_db_errors_total", type="TransactionManagementError") == 0

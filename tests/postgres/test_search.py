"""The search index of a database whose user may not create the extension."""

import pytest
from django.db import connection

from products import search_index
from products.selectors import search_products
from tests.support import make_product

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]


def _indexes() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE indexname = 'product_search'")
        return int(cursor.fetchone()[0])


def test_a_user_without_the_right_to_create_it_does_without_the_index(
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_product("Lamp")
    connection.check_constraints()  # none may be pending when tables are altered
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION pg_trgm CASCADE")
        cursor.execute("CREATE ROLE tenant")
        cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO tenant")
        cursor.execute("SET LOCAL ROLE tenant")
    assert _indexes() == 0
    search_index.create_index(using="default")
    assert [record.getMessage() for record in caplog.records] == ["event=search.not_indexed"]
    assert "permission denied" in caplog.records[0].reason  # type: ignore[attr-defined]
    assert search_products(query="lamp").count == 1
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute(f"GRANT CREATE ON DATABASE {connection.settings_dict['NAME']} TO tenant")
        cursor.execute("GRANT CREATE ON SCHEMA public TO tenant")
        cursor.execute("ALTER TABLE products_product OWNER TO tenant")
        cursor.execute("SET LOCAL ROLE tenant")
    search_index.create_index(using="default")  # no superuser, but the right to create it
    assert _indexes() == 1

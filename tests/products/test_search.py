"""The search finds what people mean, the same on both databases."""

import unicodedata
from io import StringIO
from typing import Any

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F, Value
from django.db.models.functions import Concat, Upper
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import example, given
from hypothesis import strategies as st

from products import search_index, selectors
from products.models import Category, Product
from products.search import fold
from tests.support import make_product, migrate

pytestmark = pytest.mark.django_db


def found(query: str) -> list[str]:
    """Return the names of the products found, through the index and without it."""
    result = selectors.search_products(query=query)
    names = [product.name for product in result.products]
    scanned = Product.objects.filter(selectors.matches(query)).order_by("name")
    assert names == [product.name for product in scanned if product.is_active]
    assert result.count == len(names)
    return names


@pytest.mark.parametrize(
    ("name", "queries"),
    [
        ("ÄRMEL", ["ärmel", "ÄRMEL", "Ärmel", "armel", "a\N{COMBINING DIAERESIS}rmel", "rme"]),
        ("Été indien", ["ete", "été", "ÉTÉ", "e\N{COMBINING ACUTE ACCENT}te", "INDIEN ete"]),
        ("E\N{COMBINING ACUTE ACCENT}clair", ["éclair", "eclair", "ECLAIR"]),
        ("Straßenkarte", ["straße", "STRASSE", "strasse", "STRASSENKARTE"]),
        ("GROẞE TASSE", ["große", "grosse", "GROSSE"]),
        ("Smørrebrød", ["smorrebrod", "SMØRREBRØD", "smørre"]),
        ("Łódź guide", ["lodz", "łódź", "ŁÓDŹ"]),
        ("Œuvre", ["oeuvre", "ŒUVRE", "œuvre"]),
        (
            "İstanbul",
            ["istanbul", "ISTANBUL", "\N{LATIN SMALL LETTER DOTLESS I}stanbul", "İSTANBUL"],
        ),
        ("Ⅷ ½ ﬁlm", ["film", "viii", "FILM VIII"]),
        ("Νύχτες", ["νυχτεσ", "ΝΥΧΤΕΣ", "νύχτες"]),
        ("Ёлка", ["елка", "ЁЛКА"]),
        ("カメラ が", ["カメラ", "ｶﾒﾗ"]),
        ("한국어", ["한국어", unicodedata.normalize("NFD", "한국어")]),
        ("Kaffee\N{SOFT HYPHEN}tasse", ["kaffeetasse", "Kaffee\N{SOFT HYPHEN}Tasse"]),
        ("50%_off \\ 'sale'", ["50%_", "%_off", "\\", "'sale'", "%"]),
        ('Quote "me" AND', ['"me"', "and", 'quote "me']),
    ],
)
def test_case_accents_and_unicode_forms_make_no_difference(name: str, queries: list[str]) -> None:
    make_product("Other", description="Nothing like it")
    make_product(name)
    for query in queries:
        assert found(query) == [name], query


@pytest.mark.parametrize(
    "query", ["a_c", "a%c", "%%%", "___", "a*c", "a?c", "[abc]", "^abc", "abc$"]
)
def test_wildcards_are_letters(query: str) -> None:
    make_product("abc axc aac")
    assert found(query) == []
    make_product("with", description=f"so {query} it is")
    assert found(query) == ["with"]


@pytest.mark.parametrize(
    "query",
    [
        '"',
        '""',
        "'",
        "\\",
        "abc\\",
        "NEAR(abc xyz)",
        "abc OR xyz",
        "-abc",
        "abc*",
        "(",
        "\x00",
        "\N{ACUTE ACCENT}",
        "\u200b",
    ],
)
def test_no_query_is_read_as_syntax(query: str) -> None:
    make_product("abc")
    assert found(query) == []


def test_all_words_must_be_in_the_same_product() -> None:
    make_product("Green lamp", description="for a desk")
    make_product("Red lamp", description="for a wall")
    assert found("lamp DESK") == ["Green lamp"]
    assert found("lamp desk wall") == []
    assert found("ee de") == ["Green lamp"]  # too short for the index
    assert found("lampfor") == []  # no word reaches from the name into the description


@given(st.text())
@example("ŉ ΐ ǰ ﬃ ẞ ß İ \u0131 \u017f ﷺ \u0345 \u1fb3 각 Å")
def test_folding_twice_is_folding_once(text: str) -> None:
    folded = fold(text)
    assert fold(folded) == folded
    assert fold(unicodedata.normalize("NFC", text)) == fold(unicodedata.normalize("NFD", text))
    assert "\x00" not in folded


class TestEveryWriteIsFound:
    """However a product is written, its search text is that of what was stored."""

    @pytest.fixture(autouse=True)
    def product(self) -> Product:
        return make_product("Before", description="old words")

    def test_save(self, product: Product) -> None:
        product.name = "Äfter"
        product.save()
        assert (found("before"), found("after")) == ([], ["Äfter"])

    @pytest.mark.parametrize("deferred", ["description", "search_text"])
    def test_save_of_a_row_read_in_part(self, deferred: str) -> None:
        row = Product.objects.defer(deferred).get()
        row.name = "Äfter"
        row.save()
        assert (found("before"), found("after words")) == ([], ["Äfter"])

    def test_save_of_a_named_field(self, product: Product) -> None:
        Product.objects.update(description="newer words")
        product.name = "Äfter"
        product.save(update_fields=["name"])  # its description is not the stored one
        assert (found("before"), found("after newer")) == ([], ["Äfter"])

    def test_a_stock_change_writes_no_search_text(self, product: Product) -> None:
        with CaptureQueriesContext(connection) as captured:
            Product.objects.filter(pk=product.pk).update(stock=F("stock") - 1)
            product.is_active = True
            product.save(update_fields=["is_active"])
        updates = [query["sql"] for query in captured if query["sql"].startswith("UPDATE")]
        assert len(updates) == 2
        assert not any("search_text" in update for update in updates)

    def test_update(self) -> None:
        make_product("Untouched")
        assert Product.objects.filter(name="Before").update(name="Äfter") == 1
        assert (found("before"), found("after words")) == ([], ["Äfter"])
        assert found("untouched") == ["Untouched"]

    def test_update_with_an_expression(self) -> None:
        Product.objects.update(name=Concat(Upper("name"), Value(" É")))
        assert found("before e") == ["BEFORE É"]

    def test_update_through_a_category(self) -> None:
        Category.objects.get().products.update(description="Größer")
        assert found("grosser") == ["Before"]

    def test_bulk_update(self, product: Product) -> None:
        product.name = "Äfter"
        Product.objects.bulk_update([product], ["name"])
        assert (found("before"), found("after words")) == ([], ["Äfter"])

    def test_bulk_create(self, product: Product) -> None:
        fields: dict[str, Any] = {"category": product.category, "price": 1}
        new = [Product(name=f"Né {n}", slug=f"ne-{n}", **fields) for n in range(2)]
        Product.objects.bulk_create(new)
        assert found("ne") == ["Né 0", "Né 1"]

    def test_update_or_create(self, product: Product) -> None:
        Product.objects.update_or_create(slug=product.slug, defaults={"name": "Äfter"})
        assert (found("before"), found("after words")) == ([], ["Äfter"])

    def test_a_fixture_without_it(self, product: Product) -> None:
        fixture = serializers.serialize("python", [product])
        Product.objects.filter(pk=product.pk).update(name="Gone")
        del fixture[0]["fields"]["search_text"]
        for deserialized in serializers.deserialize("python", fixture):
            deserialized.save()
        assert (found("before"), found("gone")) == (["Before"], [])

    def test_deleting(self, product: Product) -> None:
        product.movements.all().delete()
        product.delete()
        assert found("before") == []

    def test_seeding_and_the_seeds_reset(self) -> None:
        call_command("populate_products", stdout=StringIO())
        assert found("LUMEN") == ["Lumen Desk Lamp"]
        Product.objects.filter(slug="lumen-desk-lamp").update(name="Other", description="")
        call_command("populate_products", "--clear", stdout=StringIO())
        assert found("LUMEN") == ["Lumen Desk Lamp"]

    def test_the_admin(self, admin_client: Client, product: Product) -> None:
        address = f"/admin/products/product/{product.pk}/change/"
        form = admin_client.get(address).context["adminform"].form
        data = {name: form[name].value() for name in form.fields if form[name].value() is not None}
        data |= {"name": "Äfter", "flash_starts_at_0": "", "flash_ends_at_0": ""}
        assert admin_client.post(address, data).status_code == 302
        assert (found("before"), found("after words")) == ([], ["Äfter"])
        for query, names in (("AFTER", ["Äfter"]), (product.slug[3:], ["Äfter"]), ("none", [])):
            page = admin_client.get("/admin/products/product/", {"q": query})
            assert [row.name for row in page.context["cl"].result_list] == names


def test_more_than_a_thousand_are_not_counted(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "MOST_FOUND", 13)
    for number in range(14):
        make_product(f"Lamp{number:02}", is_active=number > 0)
    page = client.get("/products/", {"q": "LÄMP", "page": "2"})
    assert [product.name for product in page.context["page_obj"]] == ["Lamp13"]
    assert "13 products" in page.content.decode()
    assert "More than" not in page.content.decode()
    Product.objects.update(is_active=True)
    page = client.get("/products/", {"q": "LÄMP", "page": "2"})
    assert [product.name for product in page.context["page_obj"]] == ["Lamp12"]
    assert "More than 13 products" in page.content.decode()


def plan(query: str) -> str:
    """Return how the database finds the keys of a search."""
    keys = selectors.matching_keys(Product.objects.all(), query)
    sql, parameters = keys.query.sql_with_params()
    explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # the table is small
        cursor.execute(f"{explain} {sql}", parameters)
        return "\n".join(str(row) for row in cursor.fetchall())


def test_a_word_is_looked_up_in_the_index() -> None:
    make_product("Lamp")
    index = "product_search" if connection.vendor == "postgresql" else "products_search"
    assert index in plan("lamp")
    assert "SCAN products_product" not in plan("lamp")
    assert "LIST SUBQUERY" not in plan("lamp")  # reads all that match before the first is compared


@pytest.mark.usefixtures("migrated_afterwards")
def test_products_from_before_the_migration_are_found() -> None:
    migrate(("products", "0003_reason_labels"))
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO products_category (name, slug) VALUES ('S', 's')")
        cursor.execute(
            "INSERT INTO products_product (category_id, name, slug, description, image, price,"
            " currency, stock, is_active) SELECT id, 'ÄRMEL', 'a', 'Été', 'products/"
            "placeholder.svg', 10, 'EUR', 0, true FROM products_category"
        )
    migrate(*MigrationExecutor(connection).loader.graph.leaf_nodes())
    search_index.create_index(using="default")
    assert found("ärmel ete") == ["ÄRMEL"]
    assert "search" in plan("armel")


@pytest.mark.django_db(transaction=True)
def test_the_index_is_restored_after_a_migration_that_rebuilds_the_table() -> None:
    make_product("Lamp")
    search_index.drop_index("default")
    Product.objects.update(name="Vase")  # nothing keeps the index
    make_product("Lamp")
    assert found("lamp") == ["Lamp"]
    call_command("migrate", stdout=StringIO())
    assert (found("lamp"), found("vase")) == (["Lamp"], ["Vase"])
    assert "search" in plan("lamp")
    call_command("migrate", stdout=StringIO())  # again changes nothing
    assert (found("lamp"), found("vase")) == (["Lamp"], ["Vase"])


@pytest.mark.django_db(transaction=True)
def test_without_the_index_the_same_is_found(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_product("Lamp")
    search_index.drop_index("default")
    with monkeypatch.context() as patched:
        for statements in ("_POSTGRESQL", "_SQLITE"):
            patched.setattr(search_index, statements, ("CREATE NOTHING",))
        search_index.create_index(using="default")
        messages = [record.getMessage() for record in caplog.records]
        assert messages == ["event=search.not_indexed"]
        make_product("Vase")
        assert (found("LAMP"), found("vase"), found("none")) == (["Lamp"], ["Vase"], [])
    search_index.create_index(using="default")
    assert found("vase") == ["Vase"]
    assert "search" in plan("vase")


@pytest.mark.parametrize("index", ["product_by_name", "product_shelf"])
@pytest.mark.parametrize("query", ["", "lamp"])
def test_a_page_reads_products_in_the_order_of_an_index(index: str, query: str) -> None:
    """Sorting all products for a page of twelve takes 0.1 s where there are 100,000."""
    shelves = [Category(name=f"Shelf {number}", slug=f"shelf-{number}") for number in range(20)]
    Product.objects.bulk_create(
        Product(category=shelf, name=f"Lamp {number}", slug=f"{shelf.slug}-{number}", price=1)
        for shelf in Category.objects.bulk_create(shelves)
        for number in range(20)
    )
    category = Category.objects.get(slug="shelf-7") if index == "product_shelf" else None
    page = selectors.shown_products(category=category)
    if query:
        page = page.filter(selectors.matches(query))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # so few rows it would rather read and sort
            cursor.execute("ANALYZE products_product")  # what it knows is of another test's rows
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
    plan = page[:12].explain()
    assert index in plan
    assert "USE TEMP B-TREE" not in plan


def test_the_short_ways_to_fold_give_the_same() -> None:
    """ASCII, and what has only common accents, is folded without a look at each letter."""
    for number in range(0x3000):
        char = chr(number)
        # With a letter that is not ASCII behind it, the long way is taken.
        for text in (char, f"a{char}b", f"\N{LATIN SMALL LETTER E WITH ACUTE}{char}"):
            assert fold(f"{text}\nя") == f"{fold(text)}\nя", hex(number)

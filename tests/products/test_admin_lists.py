"""Lists in the admin: filters, search, and links between them."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client, RequestFactory
from django.utils import timezone

from products.models import Category, Product, StockMovement
from products.services import stock_reserve
from tests.products.support import change_url
from tests.support import make_product

pytestmark = pytest.mark.django_db


def shown(client: Client, model: str = "product", **query: str) -> list[str]:
    response = client.get(f"/admin/products/{model}/", query)
    assert response.status_code == 200
    return [getattr(row, "name", "") or str(row) for row in response.context["cl"].result_list]


def test_products_are_filtered_by_flash_sale_category_and_visibility(
    admin_client: Client,
) -> None:
    now, hour = timezone.now(), timedelta(hours=1)
    for name, start, end in (
        ("Now", now - hour, now + hour),
        ("Coming", now + hour, now + 2 * hour),
        ("Over", now - 2 * hour, now - hour),
    ):
        make_product(name, flash_price=1, flash_starts_at=start, flash_ends_at=end)
    hidden = make_product("Plain", is_active=False)
    for flash, names in (
        ("now", ["Now"]),
        ("coming", ["Coming"]),
        ("over", ["Over"]),
        ("none", ["Plain"]),
        ("x", ["Coming", "Now", "Over", "Plain"]),
    ):
        assert shown(admin_client, flash=flash) == names
    assert shown(admin_client, is_active__exact="0") == ["Plain"]
    books = Category.objects.create(name="Books", slug="books")
    Product.objects.filter(pk=hidden.pk).update(category=books)
    assert shown(admin_client, category__id__exact=str(books.pk)) == ["Plain"]
    text = admin_client.get("/admin/products/product/").content.decode()
    assert text.count('icon-yes.svg" alt="True"') == 3 + 1  # shown, and on flash sale


def test_movements_are_found_by_reference_product_and_reason(admin_client: Client) -> None:
    lamp, desk = make_product("Lamp", stock=10), make_product("Desk", stock=5)
    stock_reserve(quantities={lamp.pk: 1, desk.pk: 2}, reference="VT-1")
    stock_reserve(quantities={lamp.pk: 3}, reference="VT-11")
    all_movements = [
        "-3 sale VT-11",
        "-2 sale VT-1",
        "-1 sale VT-1",
        "+5 seed test",
        "+10 seed test",
    ]
    assert sorted(shown(admin_client, "stockmovement")) == sorted(all_movements)
    assert shown(admin_client, "stockmovement")[0] == all_movements[0]
    for query, expected in (
        ({"q": " VT-1 "}, ["-1 sale VT-1", "-2 sale VT-1"]),
        ({"q": "lam"}, ["+10 seed test", "-1 sale VT-1", "-3 sale VT-11"]),
        ({"q": "nothing"}, []),
        ({"reason__exact": "seed"}, ["+10 seed test", "+5 seed test"]),
        ({"product__id__exact": str(desk.pk)}, ["+5 seed test", "-2 sale VT-1"]),
        ({"q": " "}, sorted(all_movements)),
    ):
        assert sorted(shown(admin_client, "stockmovement", **query)) == expected, query


def test_the_products_page_links_to_its_movements(admin_client: Client) -> None:
    lamp = make_product()
    url = f"/admin/products/stockmovement/?product__id__exact={lamp.pk}"
    assert (
        f'<a href="{url}">Stock movements</a>'
        in admin_client.get(change_url(lamp)).content.decode()
    )


def test_a_word_of_many_products_finds_the_movements_of_the_first_hundred(
    admin_client: Client,
) -> None:
    shelf = make_product("Lamp 0").category
    products = Product.objects.bulk_create(
        Product(category=shelf, name=f"Lamp {number}", slug=f"many{number}", price=1)
        for number in range(1, 101)
    )
    StockMovement.objects.bulk_create(
        StockMovement(product=product, quantity=1, reason="admin", reference="new")
        for product in Product.objects.order_by("pk")
    )
    assert "+1 admin new" in shown(admin_client, "stockmovement", q=products[-2].name)
    response = admin_client.get("/admin/products/stockmovement/", {"q": "lamp"})
    found = set(response.context["cl"].queryset.values_list("product_id", flat=True))
    assert found == set(Product.objects.order_by("pk")[:100].values_list("pk", flat=True))


@pytest.mark.parametrize("model", [Product, StockMovement])
@pytest.mark.parametrize("term", [" ", "lamp"])
def test_a_search_needs_no_search_for_duplicates(
    rf: RequestFactory, model: type[Model], term: str
) -> None:
    page = admin.site._registry[model]
    assert page.get_search_results(rf.get("/"), model._default_manager.all(), term)[1] is False

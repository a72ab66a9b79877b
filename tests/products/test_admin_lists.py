"""Lists in the admin: filters, search, and links between them."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from products.models import Category, Product
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

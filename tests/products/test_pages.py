"""Home page, product list and product page."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from products import views
from products.models import Category, Product
from tests.support import make_product

pytestmark = pytest.mark.django_db


def names(client: Client, query: str) -> list[str]:
    """Return the names of the products on a page of the list."""
    response = client.get(f"/products/{query}")
    assert response.status_code == 200
    assert "More than" not in response.content.decode()
    shown = [product.name for product in response.context["page_obj"]]
    for name in shown:
        assert name in response.content.decode()
    return shown


@pytest.fixture
def shelf() -> None:
    """Three active products and a hidden one."""
    make_product("Desklamp", description="Warm light")
    make_product("Floorlamp", description="100% cotton shade")
    make_product("Teapot", description="Pours well")
    make_product("Secretlamp", is_active=False)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["Desklamp", "Floorlamp", "Teapot"]),
        ("?q=", ["Desklamp", "Floorlamp", "Teapot"]),
        ("?q=LAMP", ["Desklamp", "Floorlamp"]),
        ("?q=lamp+warm", ["Desklamp"]),
        ("?q=warm+teapot", []),
        ("?q=pours", ["Teapot"]),
        ("?q=100%25", ["Floorlamp"]),
        ("?q=%25", ["Floorlamp"]),
        ("?q=_", []),
        ("?q=secret", []),
        ("?q=tea%00pot", ["Teapot"]),
        ("?q=%00", ["Desklamp", "Floorlamp", "Teapot"]),
        ("?q=%FF%FE", []),
        ("?q='+OR+1=1+--", []),
        ("?q=" + "x" * 5000, []),
        ("?q=100%25+cotton" + "+" * 88 + "xy", []),
        ("?q=100%25+cotton" + "+" * 89 + "xy", ["Floorlamp"]),  # beyond the limit
    ],
)
def test_a_search_finds_products_with_all_its_words(
    client: Client, shelf: None, query: str, expected: list[str]
) -> None:
    assert names(client, query) == expected


def test_a_search_term_is_escaped(client: Client) -> None:
    body = client.get("/products/", {"q": "<script>alert(1)</script>"}).content.decode()
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body


def test_a_search_uses_at_most_eight_words(client: Client) -> None:
    make_product("Letters", description="a b c d e f g h")
    assert names(client, "?q=a+b+c+d+e+f+g+h+unknown") == ["Letters"]
    assert names(client, "?q=a+b+c+d+e+f+g+unknown") == []


def test_a_category_shows_only_its_products(client: Client, shelf: None) -> None:
    tea = Category.objects.create(name="Tea", slug="tea")
    Product.objects.filter(name="Teapot").update(category=tea)
    assert names(client, "?category=tea") == ["Teapot"]
    assert names(client, "?category=shelf") == ["Desklamp", "Floorlamp"]
    assert names(client, "?category=tea&q=lamp") == []
    assert names(client, "?category=") == ["Desklamp", "Floorlamp", "Teapot"]


@pytest.mark.parametrize("slug", ["unknown", "Tea", "x" * 500, "tea%00x", "%FF"])
def test_an_unknown_category_is_404(client: Client, slug: str) -> None:
    Category.objects.create(name="Tea", slug="tea")
    assert client.get(f"/products/?category={slug}").status_code == 404


@pytest.mark.parametrize(
    ("page", "first", "count"),
    [
        ("", "P00", 12),
        ("?page=1", "P00", 12),
        ("?page=3", "P24", 1),
        ("?page=4", "P24", 1),
        ("?page=99999999999999999999999", "P24", 1),
        ("?page=" + "9" * 5000, "P00", 12),
        ("?page=0", "P24", 1),
        ("?page=-1", "P24", 1),
        ("?page=two", "P00", 12),
        ("?page=1e3", "P00", 12),
        ("?page=%00", "P00", 12),
    ],
)
def test_a_page_has_twelve_products_and_any_page_number_works(
    client: Client, page: str, first: str, count: int
) -> None:
    for number in range(25):
        make_product(f"P{number:02}")
    shown = names(client, page)
    assert (shown[0], len(shown)) == (first, count)


def test_a_product_has_a_page(client: Client) -> None:
    product = make_product("Desklamp", price="1234.50", description="Warm light")
    body = client.get(f"/products/{product.slug}/").content.decode()
    assert "Desklamp" in body
    assert "€1,234.50" in body
    assert "Warm light" in body


def test_a_hidden_or_unknown_product_is_404(client: Client) -> None:
    hidden = make_product(is_active=False)
    assert client.get(f"/products/{hidden.slug}/").status_code == 404
    assert client.get("/products/unknown/").status_code == 404
    assert client.get("/products/a%00b/").status_code == 404


def test_the_home_page_shows_flash_sales_and_products_in_stock(client: Client) -> None:
    now = timezone.now()
    sale = make_product(
        "Onsale",
        flash_price=Decimal(7),
        flash_starts_at=now - timedelta(hours=1),
        flash_ends_at=now + timedelta(hours=1),
    )
    usual = make_product("Usual", stock=1)
    make_product("Gone", stock=0)
    make_product("Hidden", is_active=False)
    context = client.get("/").context
    assert list(context["flash_products"]) == [sale]
    assert list(context["featured"]) == [usual]


def test_the_home_page_limits_featured_products(client: Client) -> None:
    for number in range(views.FEATURED + 1):
        make_product(f"P{number}")
    assert len(client.get("/").context["featured"]) == views.FEATURED


@pytest.mark.parametrize("address", ["/", "/products/", "/products/lamp/"])
def test_catalogue_pages_refuse_post(client: Client, address: str) -> None:
    assert client.post(address).status_code == 405


def test_an_empty_shop_has_working_pages(client: Client) -> None:
    assert client.get("/").status_code == 200
    assert names(client, "") == []

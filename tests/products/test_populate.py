"""populate_products works as the guide says: 4 categories, 10 products, safe to run again."""

import uuid
from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from cart.models import CartItem
from orders.models import Sale, SaleItem
from products.management.samples import SAMPLES
from products.models import Category, Product
from products.services import stock_reserve
from tests.audits import oversold_units
from tests.support import fill_cart, make_buyer, make_product, unbalanced_products

pytestmark = pytest.mark.django_db

# Some samples are always on flash sale.
FLASH = {sample.slug for sample in SAMPLES if sample.flash_price}
NAMES = ["Books", "Clothing", "Electronics", "Home & Garden"]


def populate(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("populate_products", *arguments, stdout=out)
    return out.getvalue().splitlines()


def sell(product: Product, quantity: int) -> Sale:
    """Create an order for a product without a checkout."""
    sale = Sale.objects.create(
        user=make_buyer(uuid.uuid4().hex),
        total=product.price,
        currency="EUR",
        idempotency_key=uuid.uuid4(),
    )
    stock_reserve(quantities={product.pk: quantity}, reference=sale.reference)
    SaleItem.objects.create(
        sale=sale,
        product=product,
        product_name=product.name,
        unit_price=product.price,
        quantity=quantity,
    )
    return sale


def lamp() -> Product:
    return Product.objects.get(slug="lumen-desk-lamp")


def cleared(deleted: str, reset: str, hidden: str) -> str:
    return f"Deleted {deleted} in no order or cart, reset {reset} and hid {hidden} in one."


def test_an_empty_shop_gets_four_categories_and_ten_products_with_stock() -> None:
    assert populate() == ["4 categories, 10 sample products (10 new)."]
    assert list(Category.objects.values_list("name", flat=True)) == NAMES
    products = Product.objects.all()
    assert len(products) == 10
    assert {product.category.name for product in products} == set(NAMES)
    for product in products:
        assert product.stock > 0
        assert product.is_active
        assert product.currency == "EUR"
        assert product.image == f"products/{product.slug}.svg"
        (movement,) = product.movements.all()
        assert (movement.quantity, movement.reason, movement.reference) == (
            product.stock,
            "seed",
            "populate_products",
        )
    assert {product.slug for product in products if product.flash_active} == FLASH


def test_running_it_again_changes_nothing() -> None:
    populate()
    stock_reserve(quantities={lamp().pk: 5}, reference="VT-1")
    Product.objects.filter(pk=lamp().pk).update(price=Decimal("1.00"))
    before = list(Product.objects.values())
    assert populate() == ["4 categories, 10 sample products (0 new)."]
    assert list(Product.objects.values()) == before


def test_a_missing_sample_is_recreated() -> None:
    populate()
    lamp().delete()
    assert populate() == ["4 categories, 10 sample products (1 new)."]
    assert lamp().stock == 300


def test_an_ended_sample_flash_sale_is_restarted() -> None:
    populate()
    over = timezone.now() - timedelta(hours=1)
    Product.objects.filter(flash_price__isnull=False).update(
        flash_starts_at=over - timedelta(hours=1), flash_ends_at=over
    )
    own = make_product(
        flash_price=Decimal(1), flash_starts_at=over - timedelta(hours=1), flash_ends_at=over
    )
    populate()
    assert sum(product.flash_active for product in Product.objects.all()) == len(FLASH)
    own.refresh_from_db()
    assert own.flash_ends_at == over


def test_restock_refills_only_samples_below_their_initial_stock() -> None:
    populate()
    stock_reserve(quantities={lamp().pk: 5}, reference="VT-1")
    own = make_product(stock=1)
    assert populate("--restock") == ["4 categories, 10 sample products (0 new, 1 restocked)."]
    assert lamp().stock == 300
    movements = lamp().movements.order_by("pk").values_list("quantity", "reason", "reference")
    assert list(movements)[-1] == (5, "seed", "populate_products --restock")
    own.refresh_from_db()
    assert own.stock == 1
    assert populate("--restock") == ["4 categories, 10 sample products (0 new, 0 restocked)."]
    assert unbalanced_products() == []


def test_clear_deletes_products_without_orders_and_recreates_the_samples() -> None:
    populate()
    old = lamp().pk
    own = make_product()
    assert populate("--clear") == [
        cleared("11 products", "0 sample products", "0 other products"),
        "Deleted: Lamp.",
        "4 categories, 10 sample products (10 new).",
    ]
    assert not Product.objects.filter(pk__in=[own.pk, old]).exists()
    assert Product.objects.count() == 10


def test_clear_resets_samples_with_orders_in_place() -> None:
    populate()
    sold = lamp()
    sell(sold, 5)
    Product.objects.filter(pk=sold.pk).update(
        name="Renamed", price=Decimal("1.00"), is_active=False, description=""
    )
    assert populate("--clear") == [
        cleared("9 products", "1 sample product", "0 other products"),
        "4 categories, 10 sample products (9 new).",
    ]
    sample = next(sample for sample in SAMPLES if sample.slug == sold.slug)
    reset = lamp()
    assert reset.pk == sold.pk
    assert (reset.name, reset.price, reset.is_active) == (sample.name, sample.price, True)
    assert (reset.description, reset.stock) == (sample.description, 300)
    assert list(reset.movements.order_by("pk").values_list("quantity", flat=True)) == [300, -5, 5]
    assert unbalanced_products() == []
    assert oversold_units() == 0


def test_clear_hides_other_products_with_orders() -> None:
    populate()
    own = make_product("Own", stock=10)
    sell(own, 4)
    assert populate("--clear") == [
        cleared("10 products", "0 sample products", "1 other product"),
        "Hid: Own.",
        "4 categories, 10 sample products (10 new).",
    ]
    own.refresh_from_db()
    assert (own.is_active, own.stock) == (False, 6)
    assert Category.objects.filter(pk=own.category_id).exists()


def test_clear_deletes_resets_and_hides_and_can_be_repeated() -> None:
    populate()
    sell(lamp(), 1)
    sell(make_product("Own"), 1)
    make_product("Unsold")
    assert populate("--clear") == [
        cleared("10 products", "1 sample product", "1 other product"),
        "Deleted: Unsold.",
        "Hid: Own.",
        "4 categories, 10 sample products (9 new).",
    ]
    assert populate("--clear", "--restock") == [
        cleared("9 products", "1 sample product", "1 other product"),
        "Hid: Own.",
        "4 categories, 10 sample products (9 new).",
    ]
    assert Product.objects.filter(is_active=True).count() == 10


def test_clear_keeps_categories_even_empty_ones() -> None:
    populate()
    make_product()
    Category.objects.create(name="Garage", slug="garage")
    populate("--clear")
    names = list(Category.objects.values_list("name", flat=True))
    assert names == sorted([*NAMES, "Garage", "Shelf"])


def test_clear_hides_what_is_in_a_cart_and_resets_samples_there() -> None:
    populate()
    own, sample = make_product("Own"), lamp()
    fill_cart(make_buyer(), **{f"p{own.pk}": 1, f"p{sample.pk}": 2})
    assert populate("--clear") == [
        cleared("9 products", "1 sample product", "1 other product"),
        "Hid: Own.",
        "4 categories, 10 sample products (9 new).",
    ]
    items = CartItem.objects.order_by("pk").values_list("product", "product__is_active", "quantity")
    assert list(items) == [(own.pk, False, 1), (sample.pk, True, 2)]


def test_the_output_names_at_most_twenty_products() -> None:
    for number in range(23):
        make_product(f"Own{number:02}")
    assert populate("--clear")[1].endswith("Own18, Own19 and 3 more.")

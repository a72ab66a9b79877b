"""The catalogue in the admin: stock changes only through the ledger, flash sales are complete."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connections
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from products.admin import ProductAdmin
from products.forms import ProductForm
from products.models import Category, Product, StockMovement
from products.selectors import unbalanced_products
from products.services import MAX_STOCK, SoldOutError, stock_adjust, stock_reserve
from tests.support import ledger, make_buyer, make_product

pytestmark = pytest.mark.django_db

Reason = StockMovement.Reason
ADD = "/admin/products/product/add/"


def change_url(product: Product) -> str:
    return f"/admin/products/product/{product.pk}/change/"


def form_data(product: Product, **changes: str) -> dict[str, str]:
    """Return the form data of a product's change page, with changes."""
    data = {
        "name": product.name,
        "slug": product.slug,
        "category": str(product.category_id),
        "description": product.description,
        "image": product.image,
        "price": str(product.price),
        "is_active": "on",
    }
    return {**data, **changes}


def unsaved(**changes: object) -> Product:
    """Return a valid product that is not saved."""
    category = Category.objects.get_or_create(name="Shelf", slug="shelf")[0]
    return Product(
        **{"category": category, "name": "Lamp", "slug": "lamp", "price": Decimal(10), **changes}
    )


def errors(response: Any) -> dict[str, list[str]]:
    """Return the errors of a form that is shown again."""
    assert response.status_code == 200
    form_errors: dict[str, list[str]] = response.context["adminform"].errors
    return {name: list(texts) for name, texts in form_errors.items()}


def messages_of(response: Any) -> list[str]:
    assert response.status_code == 302
    return [str(message) for message in get_messages(response.wsgi_request)]


def products_and_movements() -> list[list[Any]]:
    products: list[Any] = list(Product.objects.order_by("pk").values())
    return [products, list(StockMovement.objects.order_by("pk").values())]


@pytest.mark.parametrize(("difference", "after"), [("5", 15), ("-3", 7), ("-10", 0), ("+2", 12)])
def test_a_change_of_stock_is_a_movement_and_changes_nothing_else(
    admin_client: Client, difference: str, after: int
) -> None:
    lamp, other = make_product(stock=10), make_product("Desk", stock=3)
    before, _ = products_and_movements()
    data = form_data(lamp, stock_difference=difference, stock_reason=" recount \n of  hall 3 ")
    response = admin_client.post(change_url(lamp), data)
    change = int(difference)
    assert messages_of(response)[0] == f"Stock of Lamp: 10 → {after} ({change:+d})."
    assert ledger(lamp) == [(change, "admin", "admin:admin: recount of hall 3")]
    assert ledger(other) == []
    before[0]["stock"] = after
    assert products_and_movements()[0] == before


def test_saving_without_a_change_of_stock_records_no_movement(admin_client: Client) -> None:
    lamp = make_product(stock=10)
    response = admin_client.post(change_url(lamp), form_data(lamp, name="Desk lamp", price="12.00"))
    assert len(messages_of(response)) == 1
    lamp.refresh_from_db()
    assert (lamp.name, lamp.price, lamp.stock) == ("Desk lamp", Decimal("12.00"), 10)
    assert ledger(lamp) == []


def test_stock_cannot_be_overwritten(admin_client: Client) -> None:
    lamp = make_product(stock=10)
    text = admin_client.get(change_url(lamp)).content.decode()
    assert 'name="stock"' not in text
    assert '<div class="readonly">10</div>' in text
    messages_of(admin_client.post(change_url(lamp), form_data(lamp, stock="99", currency="USD")))
    lamp.refresh_from_db()
    assert (lamp.stock, lamp.currency) == (10, "EUR")
    assert ledger(lamp) == []


REFUSED = [
    ("-11", "broken", {"stock_difference": ["Only 10 in stock."]}),
    (
        str(MAX_STOCK - 9),
        "delivery",
        {"stock_difference": ["Stock can't exceed 1000000000."]},
    ),
    (
        str(MAX_STOCK + 1),
        "delivery",
        {
            "stock_difference": [
                "Ensure this value is less than or equal to 1000000000.",
            ]
        },
    ),
    (
        "-" + "9" * 30,
        "broken",
        {"stock_difference": ["Ensure this value is greater than or equal to -1000000000."]},
    ),
    ("9" * 5000, "delivery", {"stock_difference": ["Enter a whole number."]}),
    ("1.5", "delivery", {"stock_difference": ["Enter a whole number."]}),
    ("0", "recount", {"stock_difference": ["Leave this empty to keep the stock unchanged."]}),
    ("", "recount", {"stock_difference": ["Enter the number of units to add or remove."]}),
    ("5", "", {"stock_reason": ["Enter a reason for the change."]}),
    ("5", " \n ", {"stock_reason": ["Enter a reason for the change."]}),
    ("5", "x" * 52, {"stock_reason": ["Enter at most 51 characters."]}),
]


@pytest.mark.parametrize(("difference", "reason", "expected"), REFUSED)
def test_an_invalid_change_of_stock_changes_nothing(
    admin_client: Client, difference: str, reason: str, expected: dict[str, list[str]]
) -> None:
    lamp = make_product(stock=10)
    before = products_and_movements()
    data = form_data(lamp, name="New", stock_difference=difference, stock_reason=reason)
    assert errors(admin_client.post(change_url(lamp), data)) == expected
    assert products_and_movements() == before


def test_the_longest_reason_and_username_fit_the_ledger(admin_client: Client) -> None:
    lamp = make_product(stock=0)
    messages_of(
        admin_client.post(
            change_url(lamp), form_data(lamp, stock_difference="1", stock_reason="x" * 51)
        )
    )
    boss = make_buyer("b" * 150)
    boss.is_staff = boss.is_superuser = True
    boss.save()
    admin_client.force_login(boss)
    assert 'maxlength="32"' in admin_client.get(change_url(lamp)).content.decode()
    messages_of(
        admin_client.post(
            change_url(lamp), form_data(lamp, stock_difference="2", stock_reason="y" * 32)
        )
    )
    references = [
        reference
        for _, _, reference in lamp.movements.values_list("pk", "reason", "reference").order_by(
            "pk"
        )
    ]
    assert references == ["admin:admin: " + "x" * 51, f"admin:{'b' * 24}: " + "y" * 32]


def test_stock_can_reach_the_maximum(admin_client: Client) -> None:
    lamp = make_product(stock=10)
    data = form_data(lamp, stock_difference=str(MAX_STOCK - 10), stock_reason="delivery")
    messages_of(admin_client.post(change_url(lamp), data))
    lamp.refresh_from_db()
    assert lamp.stock == MAX_STOCK


@pytest.mark.parametrize(
    ("stock", "reason", "movements"),
    [
        ("7", "", [(7, "admin", "admin:admin: initial stock")]),
        ("7", "delivery 1", [(7, "admin", "admin:admin: delivery 1")]),
        ("0", "", []),
        ("", "", []),
    ],
)
def test_a_new_product_gets_its_initial_stock(
    admin_client: Client, stock: str, reason: str, movements: list[tuple[int, str, str]]
) -> None:
    assert "Initial stock" in admin_client.get(ADD).content.decode()
    data = form_data(unsaved(), stock_difference=stock, stock_reason=reason)
    messages_of(admin_client.post(ADD, data))
    lamp = Product.objects.get()
    assert (lamp.name, lamp.price, lamp.currency) == ("Lamp", Decimal(10), "EUR")
    assert lamp.stock == int(stock or 0)
    assert list(lamp.movements.values_list("quantity", "reason", "reference")) == movements


def test_initial_stock_cannot_be_negative(admin_client: Client) -> None:
    response = admin_client.post(ADD, form_data(unsaved(), stock_difference="-1"))
    assert errors(response) == {"stock_difference": ["Only 0 in stock."]}
    assert products_and_movements() == [[], []]


def test_a_product_with_movements_cannot_be_deleted_but_one_without_can(
    admin_client: Client,
) -> None:
    lamp, draft = make_product(stock=1), make_product("Draft", stock=0)
    for product, status in ((lamp, 403), (draft, 302)):
        delete_url = f"/admin/products/product/{product.pk}/delete/"
        offered = f'href="{delete_url}"' in admin_client.get(change_url(product)).content.decode()
        assert offered is (status == 302)
        assert admin_client.post(delete_url, {"post": "yes"}).status_code == status
    action = {"action": "delete_selected", "_selected_action": lamp.pk, "post": "yes"}
    admin_client.post("/admin/products/product/", action)
    assert list(Product.objects.all()) == [lamp]


# --- Concurrent sales ---------------------------------------------------------------------------


def test_the_difference_applies_to_the_stock_at_the_time_of_saving(admin_client: Client) -> None:
    lamp = make_product(stock=10)
    data = form_data(lamp, stock_difference="5", stock_reason="delivery")
    admin_client.get(change_url(lamp))
    stock_reserve(quantities={lamp.pk: 3}, reference="VT-1")
    assert (
        messages_of(admin_client.post(change_url(lamp), data))[0] == "Stock of Lamp: 7 → 12 (+5)."
    )
    lamp.refresh_from_db()
    assert lamp.stock == 12


def sell_while_it_is_checked(monkeypatch: pytest.MonkeyPatch, product: Product) -> None:
    """Sell 3 units after the admin has read the product and before it locks the row."""
    original = ProductForm._check_prices

    def sell_first(form: ProductForm) -> None:
        stock_reserve(quantities={product.pk: 3}, reference="VT-1")
        original(form)

    monkeypatch.setattr(ProductForm, "_check_prices", sell_first)


@pytest.mark.parametrize(
    ("change", "after", "movements"),
    [
        ({"name": "New"}, 7, []),
        (
            {"stock_difference": "5", "stock_reason": "delivery"},
            12,
            [(5, "admin", "admin:admin: delivery")],
        ),
        (
            {"stock_difference": "-7", "stock_reason": "broken"},
            0,
            [(-7, "admin", "admin:admin: broken")],
        ),
    ],
)
def test_a_sale_while_the_form_is_saved_is_kept(
    admin_client: Client,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    after: int,
    movements: list[tuple[int, str, str]],
) -> None:
    lamp = make_product(stock=10)
    sell_while_it_is_checked(monkeypatch, lamp)
    messages_of(admin_client.post(change_url(lamp), form_data(lamp, **change)))
    lamp.refresh_from_db()
    assert lamp.stock == after
    assert ledger(lamp) == [(-3, "sale", "VT-1"), *movements]


def test_removing_more_than_a_sale_left_is_refused_with_the_reason(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = make_product(stock=10)
    sell_while_it_is_checked(monkeypatch, lamp)
    data = form_data(lamp, stock_difference="-8", stock_reason="broken")
    response = admin_client.post(change_url(lamp), data)
    assert errors(response) == {"stock_difference": ["Only 7 in stock."]}
    assert ledger(lamp) == [(-3, "sale", "VT-1")]


def in_thread(call: Callable[[], Any]) -> Any:
    """Return what `call` returns or raises; close this thread's connections."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - what was raised is a result here
        return error
    finally:
        connections.close_all()


@pytest.mark.django_db(transaction=True)
def test_no_sale_comes_between_the_check_and_the_change(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = make_product(stock=10)
    checked, sold = threading.Event(), threading.Event()
    original = ProductAdmin.save_model

    def save_late(
        self: ProductAdmin, request: HttpRequest, obj: Product, form: ProductForm, change: bool
    ) -> None:
        checked.set()
        sold.wait(0.5)  # times out: the sale has to wait for the row lock
        original(self, request, obj, form, change)

    def sell() -> None:
        assert checked.wait(30)
        try:
            stock_reserve(quantities={lamp.pk: 1}, reference="VT-1")
        finally:
            sold.set()

    monkeypatch.setattr(ProductAdmin, "save_model", save_late)
    data = form_data(lamp, stock_difference="-10", stock_reason="broken")
    with ThreadPoolExecutor(2) as pool:
        change = pool.submit(in_thread, lambda: admin_client.post(change_url(lamp), data))
        sale = pool.submit(in_thread, sell)
    assert messages_of(change.result())[0] == "Stock of Lamp: 10 → 0 (-10)."
    assert isinstance(sale.result(), SoldOutError)
    assert ledger(lamp) == [(-10, "admin", "admin:admin: broken")]


@pytest.mark.django_db(transaction=True)
def test_concurrent_staff_and_buyers_keep_stock_and_ledger_equal(admin_client: Client) -> None:
    lamp = make_product(stock=25)
    data = form_data(lamp, stock_difference="-2", stock_reason="broken")
    clients = [Client() for _ in range(10)]
    for client in clients:
        client.cookies = admin_client.cookies
    start = threading.Barrier(30)

    def at_once(call: Callable[[], Any]) -> Any:
        start.wait()
        return in_thread(call)

    with ThreadPoolExecutor(30) as pool:
        changes = [
            pool.submit(at_once, lambda c=client: c.post(change_url(lamp), data))  # type: ignore[misc]
            for client in clients
        ]
        sales = [
            pool.submit(
                at_once,
                lambda n=number: stock_reserve(quantities={lamp.pk: 1}, reference=f"VT-{n}"),  # type: ignore[misc]
            )
            for number in range(20)
        ]
    statuses = Counter(
        getattr(change.result(), "status_code", change.result()) for change in changes
    )
    outcomes = Counter(type(sale.result()).__name__ for sale in sales)
    assert set(statuses) <= {302, 200}  # saved, or refused with an error message
    assert set(outcomes) <= {"NoneType", "SoldOutError"}
    lamp.refresh_from_db()
    assert lamp.stock == 25 - 2 * statuses[302] - outcomes["NoneType"]
    assert lamp.stock <= 1
    assert len(ledger(lamp)) == statuses[302] + outcomes["NoneType"]
    assert unbalanced_products() == []


# --- The service --------------------------------------------------------------------------------


@pytest.mark.parametrize(("difference", "after"), [(4, 14), (-10, 0), (MAX_STOCK - 10, MAX_STOCK)])
def test_adjusting_stock_records_the_difference(difference: int, after: int) -> None:
    lamp = make_product(stock=10)
    stock = stock_adjust(
        product_id=lamp.pk, difference=difference, reason=Reason.FEED, reference="file 1"
    )
    lamp.refresh_from_db()
    assert stock == lamp.stock == after
    assert ledger(lamp) == [(difference, "feed", "file 1")]


def test_adjusting_stock_by_zero_records_no_movement() -> None:
    lamp = make_product(stock=10)
    assert stock_adjust(product_id=lamp.pk, difference=0, reason=Reason.FEED, reference="x") == 10
    assert ledger(lamp) == []


@pytest.mark.parametrize("difference", [-11, MAX_STOCK - 9, 10**30])
def test_stock_is_not_adjusted_out_of_range(difference: int) -> None:
    lamp = make_product(stock=10)
    before = products_and_movements()
    with pytest.raises(ValueError, match="from 0 to 1000000000"):
        stock_adjust(product_id=lamp.pk, difference=difference, reason=Reason.ADMIN, reference="x")
    assert products_and_movements() == before


# --- Fields -------------------------------------------------------------------------------------

FLASH = {
    "flash_price": "7.50",
    "flash_starts_at_0": "27/11/2026",
    "flash_starts_at_1": "18:00:00",
    "flash_ends_at_0": "27/11/2026",
    "flash_ends_at_1": "20:00:00",
}
INCOMPLETE = {"__all__": ["A flash sale needs its price, a start, and an end after the start."]}
OUT_OF_RANGE = {"flash_price": ["The flash price must be between zero and the price."]}


def test_a_flash_sale_is_configured_and_removed(admin_client: Client) -> None:
    lamp = make_product(price="10.00")
    messages_of(admin_client.post(change_url(lamp), form_data(lamp, **FLASH)))
    lamp.refresh_from_db()
    start = datetime.fromisoformat("2026-11-27T18:00:00+00:00")
    assert lamp.flash_price == Decimal("7.50")
    assert lamp.flash_starts_at == start
    assert lamp.flash_ends_at == start + timedelta(hours=2)
    messages_of(admin_client.post(change_url(lamp), form_data(lamp)))
    lamp.refresh_from_db()
    assert [lamp.flash_price, lamp.flash_starts_at, lamp.flash_ends_at] == [None] * 3


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"flash_price": ""}, INCOMPLETE),
        ({"flash_starts_at_0": "", "flash_starts_at_1": ""}, INCOMPLETE),
        ({"flash_ends_at_0": "", "flash_ends_at_1": ""}, INCOMPLETE),
        ({"flash_ends_at_1": "18:00:00"}, INCOMPLETE),
        ({"flash_ends_at_0": "26/11/2026"}, INCOMPLETE),
        ({"flash_price": "10.01"}, OUT_OF_RANGE),
        ({"flash_price": "-0.01"}, OUT_OF_RANGE),
        ({"flash_price": "0.00"}, OUT_OF_RANGE),
        ({"price": "7.49"}, OUT_OF_RANGE),
        ({"price": "-1"}, {"price": ["The price cannot be negative."]}),
        ({"image": "products/none.svg"}, {"image": ["No such static file."]}),
        ({"image": "products"}, {"image": ["No such static file."]}),
        ({"image": "../settings.py"}, {"image": ["No such static file."]}),
        ({"image": "/etc/passwd"}, {"image": ["No such static file."]}),
        (
            {"image": "products//placeholder.svg"},
            {"image": ["Enter the path without “.” or double slashes."]},
        ),
    ],
)
def test_invalid_fields_are_refused_with_the_reason(
    admin_client: Client, wrong: dict[str, str], expected: dict[str, list[str]]
) -> None:
    lamp = make_product(price="10.00")
    before = products_and_movements()
    stock = {"stock_difference": "5", "stock_reason": "delivery"}
    response = admin_client.post(change_url(lamp), {**form_data(lamp, **FLASH), **stock, **wrong})
    assert errors(response) == expected
    assert products_and_movements() == before


@pytest.mark.parametrize("price", ["0.01", "10.00"])
def test_a_flash_price_may_be_a_cent_or_the_full_price(admin_client: Client, price: str) -> None:
    lamp = make_product(price="10.00")
    messages_of(
        admin_client.post(change_url(lamp), form_data(lamp, **{**FLASH, "flash_price": price}))
    )
    lamp.refresh_from_db()
    assert lamp.flash_price == Decimal(price)


# --- Lists --------------------------------------------------------------------------------------


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

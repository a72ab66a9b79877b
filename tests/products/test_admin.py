"""The catalogue in the admin: stock moves by the ledger only, and a flash sale is whole."""

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
from products.selectors import oversold_units, unbalanced_products
from products.services import MAX_STOCK, SoldOutError, stock_change, stock_take
from tests.support import ledger, make_buyer, make_product

pytestmark = pytest.mark.django_db

Reason = StockMovement.Reason
ADD = "/admin/products/product/add/"


def page_of(product: Product) -> str:
    return f"/admin/products/product/{product.pk}/change/"


def facts(product: Product, **changes: str) -> dict[str, str]:
    """Return what the product's page sends, with changes."""
    facts = {
        "name": product.name,
        "slug": product.slug,
        "category": str(product.category_id),
        "description": product.description,
        "image": product.image,
        "price": str(product.price),
        "is_active": "on",
    }
    return {**facts, **changes}


def unsaved(**changes: object) -> Product:
    """Return what a new product is to be."""
    category = Category.objects.get_or_create(name="Shelf", slug="shelf")[0]
    return Product(
        **{"category": category, "name": "Lamp", "slug": "lamp", "price": Decimal(10), **changes}
    )


def errors(response: Any) -> dict[str, list[str]]:
    """Return the errors of a form that is shown again."""
    assert response.status_code == 200
    found: dict[str, list[str]] = response.context["adminform"].errors
    return {name: list(texts) for name, texts in found.items()}


def told(response: Any) -> list[str]:
    assert response.status_code == 302
    return [str(message) for message in get_messages(response.wsgi_request)]


def everything() -> list[list[Any]]:
    products: list[Any] = list(Product.objects.order_by("pk").values())
    return [products, list(StockMovement.objects.order_by("pk").values())]


@pytest.mark.parametrize(("difference", "after"), [("5", 15), ("-3", 7), ("-10", 0), ("+2", 12)])
def test_a_change_of_stock_is_a_movement_and_nothing_else_moves(
    admin_client: Client, difference: str, after: int
) -> None:
    lamp, other = make_product(stock=10), make_product("Desk", stock=3)
    before, _ = everything()
    sent = facts(lamp, stock_difference=difference, stock_reason=" recount \n of  hall 3 ")
    response = admin_client.post(page_of(lamp), sent)
    change = int(difference)
    assert told(response)[0] == f"Stock of Lamp: 10 → {after} ({change:+d})."
    assert ledger(lamp) == [(change, "admin", "admin:admin: recount of hall 3")]
    assert ledger(other) == []
    before[0]["stock"] = after
    assert everything()[0] == before


def test_the_page_without_a_change_of_stock_moves_none(admin_client: Client) -> None:
    lamp = make_product(stock=10)
    response = admin_client.post(page_of(lamp), facts(lamp, name="Desk lamp", price="12.00"))
    assert len(told(response)) == 1
    lamp.refresh_from_db()
    assert (lamp.name, lamp.price, lamp.stock) == ("Desk lamp", Decimal("12.00"), 10)
    assert ledger(lamp) == []


def test_stock_is_not_written_over(admin_client: Client) -> None:
    lamp = make_product(stock=10)
    text = admin_client.get(page_of(lamp)).content.decode()
    assert 'name="stock"' not in text
    assert '<div class="readonly">10</div>' in text
    told(admin_client.post(page_of(lamp), facts(lamp, stock="99", currency="USD")))
    lamp.refresh_from_db()
    assert (lamp.stock, lamp.currency) == (10, "EUR")
    assert ledger(lamp) == []


REFUSED = [
    ("-11", "broken", {"stock_difference": ["There are only 10 now."]}),
    (
        str(MAX_STOCK - 9),
        "delivery",
        {"stock_difference": ["The stock can be 1000000000 at most."]},
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
    ("0", "recount", {"stock_difference": ["Zero changes nothing: leave it empty instead."]}),
    ("", "recount", {"stock_difference": ["Say how many come in or go out."]}),
    ("5", "", {"stock_reason": ["Say why the stock changes."]}),
    ("5", " \n ", {"stock_reason": ["Say why the stock changes."]}),
    ("5", "x" * 52, {"stock_reason": ["At most 51 characters."]}),
]


@pytest.mark.parametrize(("difference", "reason", "expected"), REFUSED)
def test_a_change_of_stock_that_cannot_be_changes_nothing(
    admin_client: Client, difference: str, reason: str, expected: dict[str, list[str]]
) -> None:
    lamp = make_product(stock=10)
    before = everything()
    sent = facts(lamp, name="New", stock_difference=difference, stock_reason=reason)
    assert errors(admin_client.post(page_of(lamp), sent)) == expected
    assert everything() == before


def test_the_longest_reason_and_name_fit_into_the_ledger(admin_client: Client) -> None:
    lamp = make_product(stock=0)
    told(admin_client.post(page_of(lamp), facts(lamp, stock_difference="1", stock_reason="x" * 51)))
    boss = make_buyer("b" * 150)
    boss.is_staff = boss.is_superuser = True
    boss.save()
    admin_client.force_login(boss)
    assert 'maxlength="32"' in admin_client.get(page_of(lamp)).content.decode()
    told(admin_client.post(page_of(lamp), facts(lamp, stock_difference="2", stock_reason="y" * 32)))
    references = [
        reference
        for _, _, reference in lamp.movements.values_list("pk", "reason", "reference").order_by(
            "pk"
        )
    ]
    assert references == ["admin:admin: " + "x" * 51, f"admin:{'b' * 24}: " + "y" * 32]


def test_a_stock_of_the_most_that_can_be(admin_client: Client) -> None:
    lamp = make_product(stock=10)
    sent = facts(lamp, stock_difference=str(MAX_STOCK - 10), stock_reason="delivery")
    told(admin_client.post(page_of(lamp), sent))
    lamp.refresh_from_db()
    assert lamp.stock == MAX_STOCK


@pytest.mark.parametrize(
    ("stock", "reason", "movements"),
    [
        ("7", "", [(7, "admin", "admin:admin: first stock")]),
        ("7", "delivery 1", [(7, "admin", "admin:admin: delivery 1")]),
        ("0", "", []),
        ("", "", []),
    ],
)
def test_a_new_product_and_its_first_stock(
    admin_client: Client, stock: str, reason: str, movements: list[tuple[int, str, str]]
) -> None:
    assert "First stock" in admin_client.get(ADD).content.decode()
    sent = facts(unsaved(), stock_difference=stock, stock_reason=reason)
    told(admin_client.post(ADD, sent))
    lamp = Product.objects.get()
    assert (lamp.name, lamp.price, lamp.currency) == ("Lamp", Decimal(10), "EUR")
    assert lamp.stock == int(stock or 0)
    found = list(lamp.movements.values_list("quantity", "reason", "reference"))
    assert found == movements


def test_a_new_product_cannot_begin_below_zero(admin_client: Client) -> None:
    response = admin_client.post(ADD, facts(unsaved(), stock_difference="-1"))
    assert errors(response) == {"stock_difference": ["There are only 0 now."]}
    assert everything() == [[], []]


def test_a_product_with_a_ledger_is_not_deleted_but_one_without_is(admin_client: Client) -> None:
    lamp, draft = make_product(stock=1), make_product("Draft", stock=0)
    for product, status in ((lamp, 403), (draft, 302)):
        where = f"/admin/products/product/{product.pk}/delete/"
        offered = f'href="{where}"' in admin_client.get(page_of(product)).content.decode()
        assert offered is (status == 302)
        assert admin_client.post(where, {"post": "yes"}).status_code == status
    action = {"action": "delete_selected", "_selected_action": lamp.pk, "post": "yes"}
    admin_client.post("/admin/products/product/", action)
    assert list(Product.objects.all()) == [lamp]


# --- A sale meanwhile ---------------------------------------------------------------------------


def test_the_difference_counts_from_the_stock_when_it_is_saved(admin_client: Client) -> None:
    lamp = make_product(stock=10)
    sent = facts(lamp, stock_difference="5", stock_reason="delivery")
    admin_client.get(page_of(lamp))
    stock_take(quantities={lamp.pk: 3}, reference="VT-1")
    assert told(admin_client.post(page_of(lamp), sent))[0] == "Stock of Lamp: 7 → 12 (+5)."
    lamp.refresh_from_db()
    assert lamp.stock == 12


def sell_while_it_is_checked(monkeypatch: pytest.MonkeyPatch, product: Product) -> None:
    """Let 3 be sold when the admin has read the product and not yet locked it."""
    original = ProductForm._check_prices

    def sell_first(form: ProductForm) -> None:
        stock_take(quantities={product.pk: 3}, reference="VT-1")
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
def test_what_is_sold_while_the_page_is_saved_stays_sold(
    admin_client: Client,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    after: int,
    movements: list[tuple[int, str, str]],
) -> None:
    lamp = make_product(stock=10)
    sell_while_it_is_checked(monkeypatch, lamp)
    told(admin_client.post(page_of(lamp), facts(lamp, **change)))
    lamp.refresh_from_db()
    assert lamp.stock == after
    assert ledger(lamp) == [(-3, "sale", "VT-1"), *movements]


def test_more_than_is_left_after_a_sale_is_refused_in_words(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = make_product(stock=10)
    sell_while_it_is_checked(monkeypatch, lamp)
    sent = facts(lamp, stock_difference="-8", stock_reason="broken")
    response = admin_client.post(page_of(lamp), sent)
    assert errors(response) == {"stock_difference": ["There are only 7 now."]}
    assert ledger(lamp) == [(-3, "sale", "VT-1")]


def in_thread(call: Callable[[], Any]) -> Any:
    """Call, and return what was returned or raised; for a thread of its own."""
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
        sold.wait(0.5)  # the sale must wait, so this runs out
        original(self, request, obj, form, change)

    def sell() -> None:
        assert checked.wait(30)
        try:
            stock_take(quantities={lamp.pk: 1}, reference="VT-1")
        finally:
            sold.set()

    monkeypatch.setattr(ProductAdmin, "save_model", save_late)
    sent = facts(lamp, stock_difference="-10", stock_reason="broken")
    with ThreadPoolExecutor(2) as pool:
        change = pool.submit(in_thread, lambda: admin_client.post(page_of(lamp), sent))
        sale = pool.submit(in_thread, sell)
    assert told(change.result())[0] == "Stock of Lamp: 10 → 0 (-10)."
    assert isinstance(sale.result(), SoldOutError)
    assert ledger(lamp) == [(-10, "admin", "admin:admin: broken")]


@pytest.mark.django_db(transaction=True)
def test_staff_and_buyers_at_once(admin_client: Client) -> None:
    lamp = make_product(stock=25)
    sent = facts(lamp, stock_difference="-2", stock_reason="broken")
    clients = [Client() for _ in range(10)]
    for client in clients:
        client.cookies = admin_client.cookies
    start = threading.Barrier(30)

    def at_once(call: Callable[[], Any]) -> Any:
        start.wait()
        return in_thread(call)

    with ThreadPoolExecutor(30) as pool:
        changes = [
            pool.submit(at_once, lambda c=client: c.post(page_of(lamp), sent))  # type: ignore[misc]
            for client in clients
        ]
        sales = [
            pool.submit(
                at_once,
                lambda n=number: stock_take(quantities={lamp.pk: 1}, reference=f"VT-{n}"),  # type: ignore[misc]
            )
            for number in range(20)
        ]
    answers = Counter(getattr(one.result(), "status_code", one.result()) for one in changes)
    outcomes = Counter(type(one.result()).__name__ for one in sales)
    assert set(answers) <= {302, 200}  # done, or refused in words
    assert set(outcomes) <= {"NoneType", "SoldOutError"}
    lamp.refresh_from_db()
    assert lamp.stock == 25 - 2 * answers[302] - outcomes["NoneType"]
    assert lamp.stock <= 1
    assert len(ledger(lamp)) == answers[302] + outcomes["NoneType"]
    assert (unbalanced_products(), oversold_units()) == ([], 0)


# --- The service --------------------------------------------------------------------------------


@pytest.mark.parametrize(("difference", "after"), [(4, 14), (-10, 0), (MAX_STOCK - 10, MAX_STOCK)])
def test_changing_the_stock_moves_the_difference(difference: int, after: int) -> None:
    lamp = make_product(stock=10)
    stock = stock_change(
        product_id=lamp.pk, difference=difference, reason=Reason.FEED, reference="file 1"
    )
    lamp.refresh_from_db()
    assert stock == lamp.stock == after
    assert ledger(lamp) == [(difference, "feed", "file 1")]


def test_changing_the_stock_by_nothing_is_no_movement() -> None:
    lamp = make_product(stock=10)
    assert stock_change(product_id=lamp.pk, difference=0, reason=Reason.FEED, reference="x") == 10
    assert ledger(lamp) == []


@pytest.mark.parametrize("difference", [-11, MAX_STOCK - 9, 10**30])
def test_the_stock_is_not_changed_to_what_cannot_be(difference: int) -> None:
    lamp = make_product(stock=10)
    before = everything()
    with pytest.raises(ValueError, match="from 0 to 1000000000"):
        stock_change(product_id=lamp.pk, difference=difference, reason=Reason.ADMIN, reference="x")
    assert everything() == before


# --- Facts --------------------------------------------------------------------------------------

FLASH = {
    "flash_price": "7.50",
    "flash_starts_at_0": "27/11/2026",
    "flash_starts_at_1": "18:00:00",
    "flash_ends_at_0": "27/11/2026",
    "flash_ends_at_1": "20:00:00",
}
WHOLE = {"__all__": ["A flash sale needs its price, a start, and an end after the start."]}
BETWEEN = {"flash_price": ["The flash price must lie between zero and the price."]}


def test_a_flash_sale_is_configured_and_taken_away(admin_client: Client) -> None:
    lamp = make_product(price="10.00")
    told(admin_client.post(page_of(lamp), facts(lamp, **FLASH)))
    lamp.refresh_from_db()
    start = datetime.fromisoformat("2026-11-27T18:00:00+00:00")
    assert lamp.flash_price == Decimal("7.50")
    assert lamp.flash_starts_at == start
    assert lamp.flash_ends_at == start + timedelta(hours=2)
    told(admin_client.post(page_of(lamp), facts(lamp)))
    lamp.refresh_from_db()
    assert [lamp.flash_price, lamp.flash_starts_at, lamp.flash_ends_at] == [None] * 3


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"flash_price": ""}, WHOLE),
        ({"flash_starts_at_0": "", "flash_starts_at_1": ""}, WHOLE),
        ({"flash_ends_at_0": "", "flash_ends_at_1": ""}, WHOLE),
        ({"flash_ends_at_1": "18:00:00"}, WHOLE),
        ({"flash_ends_at_0": "26/11/2026"}, WHOLE),
        ({"flash_price": "10.01"}, BETWEEN),
        ({"flash_price": "-0.01"}, BETWEEN),
        ({"price": "7.49"}, BETWEEN),
        ({"price": "-1"}, {"price": ["The price cannot be negative."]}),
        ({"image": "products/none.svg"}, {"image": ["There is no such static file."]}),
        ({"image": "products"}, {"image": ["There is no such static file."]}),
        ({"image": "../settings.py"}, {"image": ["There is no such static file."]}),
        ({"image": "/etc/passwd"}, {"image": ["There is no such static file."]}),
        (
            {"image": "products//placeholder.svg"},
            {"image": ["Write the path plainly, without “.” or double slashes."]},
        ),
    ],
)
def test_facts_that_cannot_be_are_refused_in_words(
    admin_client: Client, wrong: dict[str, str], expected: dict[str, list[str]]
) -> None:
    lamp = make_product(price="10.00")
    before = everything()
    stock = {"stock_difference": "5", "stock_reason": "delivery"}
    response = admin_client.post(page_of(lamp), {**facts(lamp, **FLASH), **stock, **wrong})
    assert errors(response) == expected
    assert everything() == before


@pytest.mark.parametrize("price", ["0", "10.00"])
def test_a_flash_price_may_be_nothing_or_the_price(admin_client: Client, price: str) -> None:
    lamp = make_product(price="10.00")
    told(admin_client.post(page_of(lamp), facts(lamp, **{**FLASH, "flash_price": price})))
    lamp.refresh_from_db()
    assert lamp.flash_price == Decimal(price)


# --- Lists --------------------------------------------------------------------------------------


def shown(client: Client, model: str = "product", **query: str) -> list[str]:
    response = client.get(f"/admin/products/{model}/", query)
    assert response.status_code == 200
    return [getattr(row, "name", "") or str(row) for row in response.context["cl"].result_list]


def test_products_are_filtered_by_flash_sale_category_and_being_shown(
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
    stock_take(quantities={lamp.pk: 1, desk.pk: 2}, reference="VT-1")
    stock_take(quantities={lamp.pk: 3}, reference="VT-11")
    everything = ["-3 sale VT-11", "-2 sale VT-1", "-1 sale VT-1", "+5 seed test", "+10 seed test"]
    assert sorted(shown(admin_client, "stockmovement")) == sorted(everything)
    assert shown(admin_client, "stockmovement")[0] == everything[0]
    for query, found in (
        ({"q": " VT-1 "}, ["-1 sale VT-1", "-2 sale VT-1"]),
        ({"q": "lam"}, ["+10 seed test", "-1 sale VT-1", "-3 sale VT-11"]),
        ({"q": "nothing"}, []),
        ({"reason__exact": "seed"}, ["+10 seed test", "+5 seed test"]),
        ({"product__id__exact": str(desk.pk)}, ["+5 seed test", "-2 sale VT-1"]),
        ({"q": " "}, sorted(everything)),
    ):
        assert sorted(shown(admin_client, "stockmovement", **query)) == found, query


def test_the_products_page_leads_to_its_movements(admin_client: Client) -> None:
    lamp = make_product()
    where = f"/admin/products/stockmovement/?product__id__exact={lamp.pk}"
    assert (
        f'<a href="{where}">Stock movements</a>' in admin_client.get(page_of(lamp)).content.decode()
    )

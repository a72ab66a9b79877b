"""Units that come back during a flash sale go on sale when it has ended, once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from products import services
from products.models import HeldStock, Product, StockMovement
from products.services import stock_put_back, stock_put_held, stock_write_off
from products.tasks import put_held_stock
from retail import jobs
from tests.support import ledger, make_product, unbalanced_products

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db

Reason = StockMovement.Reason


def flash_sale(product: Product, begins: int, ends: int) -> None:
    """Give a product a flash sale from and to so many minutes from now."""
    now = timezone.now()
    Product.objects.filter(pk=product.pk).update(
        flash_price="7.00",
        flash_starts_at=now + timedelta(minutes=begins),
        flash_ends_at=now + timedelta(minutes=ends),
    )


def put_back(product: Product, units: int, reference: str) -> None:
    reason = Reason.CANCEL if reference.startswith("VT-") else Reason.RETURN
    stock_put_back(quantities={product.pk: units}, reason=reason, reference=reference)


def stock(product: Product) -> int:
    product.refresh_from_db()
    return product.stock


def test_nothing_slips_into_a_running_flash_sale() -> None:
    lamp, book = make_product("Lamp"), make_product("Book")
    flash_sale(lamp, -1, 60)
    stock_put_back(quantities={lamp.pk: 2, book.pk: 1}, reason=Reason.RETURN, reference="RT-1")
    put_back(lamp, 1, "VT-1")
    assert put_held_stock() == 0
    assert (stock(lamp), ledger(lamp)) == (10, [])
    assert (stock(book), ledger(book)) == (11, [(1, "return", "RT-1")])
    held = HeldStock.objects.order_by("pk").values_list("product", "quantity", "reason")
    assert list(held) == [(lamp.pk, 2, "return"), (lamp.pk, 1, "cancel")]


def test_held_units_go_on_sale_with_their_movements_when_it_has_ended() -> None:
    lamp, book = make_product("Lamp"), make_product("Book")
    for product in (lamp, book):
        flash_sale(product, -1, 60)
        put_back(product, 2, "RT-1")
    put_back(lamp, 1, "VT-1")
    flash_sale(lamp, -60, 0)
    assert put_held_stock() == 3
    assert put_held_stock() == 0
    assert (stock(lamp), ledger(lamp)) == (13, [(2, "return", "RT-1"), (1, "cancel", "VT-1")])
    assert (stock(book), ledger(book)) == (10, [])
    assert HeldStock.objects.get().product == book
    assert unbalanced_products() == []


def test_a_flash_sale_that_was_prolonged_or_taken_away_decides() -> None:
    lamp = make_product("Lamp")
    flash_sale(lamp, -60, 1)
    put_back(lamp, 2, "RT-1")
    flash_sale(lamp, -60, 60)
    assert put_held_stock() == 0
    Product.objects.update(flash_price=None, flash_starts_at=None, flash_ends_at=None)
    assert put_held_stock() == 2


@pytest.mark.parametrize(("begins", "ends"), [(1, 60), (-60, -1)])
def test_before_and_after_a_flash_sale_units_go_on_sale_at_once(begins: int, ends: int) -> None:
    lamp = make_product("Lamp")
    flash_sale(lamp, begins, ends)
    put_back(lamp, 2, "VT-1")
    assert (stock(lamp), ledger(lamp)) == (12, [(2, "cancel", "VT-1")])
    assert not HeldStock.objects.exists()


def test_the_job_runs_every_minute() -> None:
    assert jobs.declared["put_held_stock"].every_minutes == 1


def test_what_fails_on_the_way_is_put_in_later(monkeypatch: pytest.MonkeyPatch) -> None:
    lamp = make_product("Lamp")
    flash_sale(lamp, -60, 1)
    put_back(lamp, 2, "RT-1")
    flash_sale(lamp, -60, -1)

    def broken(_rows: object) -> None:
        raise LookupError

    with monkeypatch.context() as patched:
        patched.setattr(StockMovement.objects, "bulk_create", broken)
        with pytest.raises(LookupError):
            stock_put_held()
    assert (stock(lamp), HeldStock.objects.count()) == (10, 1)
    assert stock_put_held() == 2


def test_a_return_is_held_once() -> None:
    lamp = make_product("Lamp")
    flash_sale(lamp, -1, 1)
    put_back(lamp, 2, "RT-1")
    with pytest.raises(IntegrityError), transaction.atomic():
        put_back(lamp, 2, "RT-1")
    assert HeldStock.objects.get().quantity == 2


@pytest.mark.parametrize(
    ("constraint", "quantity", "reason"),
    [("held_stock_positive", 0, "return"), ("held_stock_came_back", 1, "release")],
)
def test_the_database_refuses_other_held_stock(constraint: str, quantity: int, reason: str) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        HeldStock.objects.create(
            product=make_product(), quantity=quantity, reason=reason, reference="RT-1"
        )


def test_products_are_put_back_in_order_of_their_ids_and_nothing_is_no_movement() -> None:
    first, second, third = (make_product() for _ in range(3))
    with CaptureQueriesContext(connection) as captured:
        stock_put_back(
            quantities={third.pk: 1, second.pk: 0, first.pk: 2},
            reason=Reason.RETURN,
            reference="RT-1",
        )
    updates = [query["sql"] for query in captured if query["sql"].startswith("UPDATE")]
    assert [int(sql.rpartition(" = ")[2]) for sql in updates] == [first.pk, third.pk]
    assert (stock(second), ledger(second)) == (10, [])


def test_units_written_off_come_in_and_go_out() -> None:
    lamp, book = make_product("Lamp"), make_product("Book")
    stock_write_off(quantities={lamp.pk: 2, book.pk: 0}, reference="RT-1")
    assert (stock(lamp), ledger(lamp)) == (10, [(2, "return", "RT-1"), (-2, "loss", "RT-1")])
    assert ledger(book) == []


def test_held_stock_is_shown_in_the_admin_and_not_changed(admin_client: Client) -> None:
    lamp = make_product("Lamp")
    flash_sale(lamp, -1, 60)
    put_back(lamp, 2, "RT-ABC")
    put_back(lamp, 1, "VT-ABC")
    held = HeldStock.objects.get(reference="RT-ABC")
    address = "/admin/products/heldstock/"
    page = admin_client.get(address)
    assert [row.reference for row in page.context["cl"].result_list] == ["VT-ABC", "RT-ABC"]
    text = page.content.decode()
    assert "On sale from" in text
    assert "returned by a customer" in text
    assert "Add held stock" not in text
    found = admin_client.get(address, {"q": "RT-ABC"}).context["cl"].result_list
    assert list(found) == [held]
    for action in ("change", "delete"):
        response = admin_client.post(f"{address}{held.pk}/{action}/", {"quantity": 9, "post": "y"})
        assert response.status_code == 403
    assert admin_client.post(f"{address}add/", {"quantity": 9}).status_code == 403
    assert sorted(HeldStock.objects.values_list("quantity", flat=True)) == [1, 2]
    assert services.stock_put_held() == 0

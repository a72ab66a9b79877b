"""What is on sale for an amount that the gateway does not take is a warning."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from products.checks import prices_can_be_charged
from tests.support import make_product

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _limits(settings: Settings) -> None:
    settings.GATEWAY_MIN_AMOUNT, settings.GATEWAY_MAX_AMOUNT = 2, 100


def warnings() -> list[str]:
    return [warning.msg for warning in prices_can_be_charged(databases=["default"])]


@pytest.mark.parametrize(
    ("price", "flash_price", "is_active", "warned"),
    [
        ("2.00", None, True, False),
        ("1.99", None, True, True),
        ("100.00", None, True, False),
        ("100.01", None, True, True),
        ("100.01", None, False, False),
        ("100.00", "2.00", True, False),
        ("100.00", "1.99", True, True),
        ("100.01", "2.00", True, True),
        ("100.00", "1.99", False, False),
    ],
)
def test_both_prices_of_what_is_on_sale_are_checked(
    price: str, flash_price: str | None, *, is_active: bool, warned: bool
) -> None:
    now = timezone.now()
    times = {"flash_starts_at": now, "flash_ends_at": now + timedelta(hours=1)}
    sale: dict[str, Any] = {"flash_price": flash_price, **times} if flash_price else {}
    make_product("Lamp", price, is_active=is_active, **sale)
    assert bool(warnings()) is warned


def test_the_warning_names_the_first_five_and_what_to_do() -> None:
    for name in "fbadec":
        make_product(name, "1.00")
    [warning] = prices_can_be_charged(databases=["default"])
    assert re.sub("-[0-9a-f]{8}", "", warning.msg) == (
        "The gateway takes amounts from 2 to 100, but prices outside are on sale: a, b, c, d, e."
    )
    assert warning.hint == "Change these prices, or GATEWAY_MIN_AMOUNT and GATEWAY_MAX_AMOUNT."
    assert warning.id == "products.W001"

"""Fixtures of the orders tests; `lines` comes from the retail tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.retail.conftest import lines
from tests.support import make_buyer, make_product

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from products.models import Product

__all__ = ["lines"]


@pytest.fixture
def buyer() -> User:
    return make_buyer()


@pytest.fixture
def lamp() -> Product:
    return make_product("Lamp", "10.00", 5)

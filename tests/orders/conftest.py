"""Fixtures of the orders tests; `lines` comes from the retail tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.retail.conftest import lines
from tests.support import make_buyer, make_product

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django import Settings

    from products.models import Product

__all__ = ["lines"]


@pytest.fixture(autouse=True)
def _long_rest(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a breaker open, and a probe its holder's, for longer than any test takes."""
    settings.BREAKER_RESET_SECONDS = 3600
    monkeypatch.setattr("payments.breaker.PROBE_SECONDS", 3600)


@pytest.fixture
def buyer() -> User:
    return make_buyer()


@pytest.fixture
def lamp() -> Product:
    return make_product("Lamp", "10.00", 5)

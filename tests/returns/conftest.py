"""Fixtures of the tests of returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import make_buyer

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@pytest.fixture
def buyer() -> User:
    return make_buyer()

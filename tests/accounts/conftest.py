"""Fixtures of the tests of second factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.accounts.factors import Clock, make_staff

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def stella(db: None) -> User:
    return make_staff()

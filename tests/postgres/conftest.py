"""Fixtures: two customers, and both ways to reserve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@pytest.fixture(params=["one statement", "ORM"])
def reserve_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Reserve in one statement, and with the ORM, which must be correct on PostgreSQL too."""
    from orders import reservation  # noqa: PLC0415 - Django comes first

    if request.param == "ORM":
        monkeypatch.setattr(reservation, "_reserve_in_one_statement", reservation._reserve_with_orm)
    return str(request.param)


@pytest.fixture
def anna() -> User:
    from tests.support import make_buyer  # noqa: PLC0415 - Django comes first

    return make_buyer("anna")


@pytest.fixture
def ben() -> User:
    from tests.support import make_buyer  # noqa: PLC0415 - Django comes first

    return make_buyer("ben")

"""Two customers, and the two ways to reserve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@pytest.fixture(params=["at once", "in steps"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Reserve as PostgreSQL does, and as SQLite does: on PostgreSQL that must be right too."""
    from orders import reservation  # noqa: PLC0415 - Django comes first

    if request.param == "in steps":
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

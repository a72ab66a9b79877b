"""Fixture: a partner that delivers CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from partner_feeds.models import Partner


@pytest.fixture
def partner() -> Partner:
    from tests.partner_feeds.taking_in import make_partner  # noqa: PLC0415 - Django comes first

    return make_partner()

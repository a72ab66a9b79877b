"""What the tests of staff's pages share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User

from tests.support import make_buyer

if TYPE_CHECKING:
    from django.test import Client


@pytest.fixture
def staff(client: Client) -> Client:
    """Return somebody who may look; of the staff, without any permission."""
    somebody = make_buyer("staff")
    User.objects.filter(pk=somebody.pk).update(is_staff=True)
    client.force_login(somebody)
    return client

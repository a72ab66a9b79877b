"""A partner whose file is on a server of the test, and what came of fetching it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from partner_feeds import files
from partner_feeds.fetching import Fetched, fetch
from partner_feeds.reading.problems import FeedError
from tests.partner_feeds.servers import HOST

if TYPE_CHECKING:
    from partner_feeds.models import Partner
    from tests.partner_feeds.servers import Server


def at(server: Server, path: str, host: str = HOST, scheme: str = "http", user: str = "") -> str:
    return f"{scheme}://{user}{host}:{server.port}{path}"


def fetched(partner: Partner, seconds: float = 20) -> tuple[bytes, Fetched]:
    with files.temporary() as file:
        result = fetch(partner, file, seconds=seconds)
        return file.read(), result


def refused(partner: Partner, seconds: float = 20) -> tuple[str, str]:
    with pytest.raises(FeedError) as refusal:
        fetched(partner, seconds)
    return refusal.value.code, str(refusal.value)

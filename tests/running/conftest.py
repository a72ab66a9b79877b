"""A shop of real processes for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.running.support import RunningShop

OpenShop = Callable[..., RunningShop]


@pytest.fixture
def open_shop(tmp_path: Path) -> Iterator[OpenShop]:
    """Return a function that prepares a shop with the settings given as keywords."""
    opened: list[RunningShop] = []

    def open_one(**settings: str) -> RunningShop:
        opened.append(RunningShop(tmp_path, settings))
        return opened[-1]

    yield open_one
    for shop in opened:
        shop.close()

"""A stand-in for the shop, which stops after the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools.house import PATIENCE, House

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    if house.process and house.process.poll() is None:
        house.process.terminate()
        house.process.wait(PATIENCE)

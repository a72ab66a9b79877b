"""A shop whose backups are tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.running.backups.support import Backups
from tests.running.support import RunningShop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def backups(tmp_path: Path) -> Iterator[Backups]:
    folder = tmp_path / "backups"
    shop = RunningShop(tmp_path, {"BACKUP_DIR": str(folder)})
    yield Backups(shop, folder)
    shop.close()

"""Ledgers outside of the database: how far each one was when a backup was made.

    backup.ledgers.register("gateway", gateway_ledger_position)

What is entered in a ledger after the backup is missing in the database that is restored from it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from retail.audit.declare import NotCheckedError

logger = logging.getLogger("retail.backup")

Position = Mapping[str, Any]
Read = Callable[[Position], Position]

_registered: dict[str, Read] = {}


def register(name: str, read: Read) -> None:
    """Add a ledger. `read` gets its last known position; raises NotCheckedError without answer."""
    _registered[name] = read


def positions(known: Mapping[str, Position]) -> dict[str, Position]:
    """Return the position of each ledger now. One that does not answer stops no backup."""
    found: dict[str, Position] = {}
    for name, read in _registered.items():
        before = known.get(name, {})
        try:
            found[name] = read(before)
        except NotCheckedError as error:
            logger.warning("event=backup.no_ledger", extra={"ledger": name, "error": str(error)})
            found[name] = {**before, "problem": str(error)}
    return found

"""Mappings of well-known exports, by name. Each is a file here that has one MAPPING."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partner_feeds.reading.mapping import Mapping

MAPPINGS: dict[str, Mapping] = {
    module.name: importlib.import_module(f"{__name__}.{module.name}").MAPPING
    for module in pkgutil.iter_modules(__path__)
}

"""What can be wrong with a feed: with one row, or with the whole file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class FeedError(Exception):
    """The file is refused, and nothing of it is taken. Its text is for the partner and staff."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class CellError(Exception):
    """A cell has a value that is not accepted, so its row is rejected."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is not taken. `line` is the line it begins in, or its number in a JSON list."""

    line: int
    code: str
    sentence: str
    cells: Mapping[str, object]

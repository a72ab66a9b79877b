"""The results of a matrix's rounds; a round runs when a test first needs one of its cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class HasCells(Protocol):
    """A round: cells with the same fault."""

    @property
    def cells(self) -> tuple[Any, ...]:
        """Return the cells."""


Round = TypeVar("Round", bound=HasCells)
Result = TypeVar("Result")


@dataclass
class Results(Generic[Round, Result]):
    """Runs each round once, and clears up after one that broke off."""

    rounds: Sequence[Round]
    run: Callable[[Round], Result]
    clear: Callable[[], None]
    results: dict[int, Result] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)

    def of(self, cell: object) -> Result:
        """Return the result of a cell's round."""
        number = next(number for number, each in enumerate(self.rounds) if cell in each.cells)
        if number in self.failures:
            pytest.fail(f"round {number} failed: {self.failures[number]}")
        if number not in self.results:
            try:
                self.results[number] = self.run(self.rounds[number])
            except BaseException as error:
                self.failures[number] = repr(error)
                self.clear()
                raise
        return self.results[number]

"""Which tests execute which lines, and how long they take."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tools.mutants.mutations import Mutant


@dataclass
class Seen:
    """CPU seconds of each test, and the tests that execute each line, without any mutant.

    `imported` has the lines executed before the tests, such as those that apps run on start.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    tests_by_line: dict[Path, dict[int, set[str]]] = field(default_factory=dict)
    imported: dict[Path, set[int]] = field(default_factory=dict)

    def tests(self, mutant: Mutant, lines: range | None = None) -> list[str]:
        """Return the tests of these lines, or of the whole file, the fastest first."""
        by_line = self.tests_by_line[mutant.path]
        chosen = by_line if lines is None else [line for line in lines if line in by_line]
        found = {test for line in chosen for test in by_line[line]}
        return self.fastest_first(found)

    def fastest_first(self, tests: Iterable[str]) -> list[str]:
        """Return the tests by how long they take."""
        return sorted(tests, key=lambda test: (self.seconds[test], test))

    def leave_out(self, test: str) -> None:
        """Forget a test."""
        for by_line in self.tests_by_line.values():
            for tests in by_line.values():
                tests.discard(test)


def statement_at(tree: ast.Module, line: int) -> range:
    """Return the lines of the innermost statement at `line`; of a compound one, its head."""
    best = range(line, line + 1)
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            body = getattr(node, "body", None)
            end = body[0].lineno if body else (node.end_lineno or node.lineno) + 1
            if line < max(end, node.lineno + 1):
                best = range(node.lineno, max(end, node.lineno + 1))
    return best

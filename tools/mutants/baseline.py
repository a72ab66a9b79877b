"""Lines executed by each test, and the tests' durations."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tools.mutants.mutations import Mutant


@dataclass
class Baseline:
    """CPU seconds of each test, and tests by executed line, without mutants."""

    seconds: dict[str, float] = field(default_factory=dict)
    tests_by_line: dict[Path, dict[int, set[str]]] = field(default_factory=dict)

    def tests(self, mutant: Mutant, lines: range | None = None) -> list[str]:
        """Return the tests that execute these lines, or any line of the file; fastest first."""
        by_line = self.tests_by_line[mutant.path]
        chosen = by_line if lines is None else [line for line in lines if line in by_line]
        tests = {test for line in chosen for test in by_line[line]}
        return sorted(tests, key=lambda test: (self.seconds[test], test))


def statement_at(tree: ast.Module, line: int) -> range:
    """Return the lines of the innermost statement at `line`, or of its header if compound."""
    best = range(line, line + 1)
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            body = getattr(node, "body", None)
            end = body[0].lineno if body else (node.end_lineno or node.lineno) + 1
            if line < max(end, node.lineno + 1):
                best = range(node.lineno, max(end, node.lineno + 1))
    return best

"""List the mutants of a file, using cosmic-ray's operators and two more."""

from __future__ import annotations

import ast
import contextlib
import difflib
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names
from parso.python.tree import Keyword

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Position = tuple[tuple[int, int], tuple[int, int]]

# One or two replacements for each operator: more would take time and find little.
_CHOSEN = re.compile(
    r"core/(AddNot|NumberReplacer|ExceptionReplacer|RemoveDecorator|ZeroIterationForLoop"
    r"|Replace(True|False|And|Or|Break|Continue)With\w+"
    r"|ReplaceUnaryOperator_Delete_\w+"
    r"|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Div|Pow_Mul"
    r"|BitOr_BitAnd|BitAnd_BitOr)"
    r"|ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt"
    r"|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt))"
)
# Human-readable texts, which tests need not check.
_TEXTS = {"description", "help_text", "label", "verbose_name", "verbose_name_plural"}


class DropKeyword(Operator):  # type: ignore[misc]
    """Remove one keyword argument from a call."""

    def _places(self, node: Any) -> list[int]:
        if node.type not in {"arglist", "trailer"}:
            return []
        return [
            at
            for at, child in enumerate(node.children)
            if child.type == "argument"
            and child.children[1].get_code().strip() == "="
            and child.children[0].value not in _TEXTS
        ]

    def mutation_positions(self, node: Any) -> list[Position]:
        """Return the position of each keyword argument."""
        arguments = [node.children[at] for at in self._places(node)]
        return [(argument.start_pos, argument.end_pos) for argument in arguments]

    def mutate(self, node: Any, index: int) -> Any:
        """Remove an argument and the following comma, or the preceding one if it is the last."""
        at = self._places(node)[index]
        last = at + 1 == len(node.children)
        comma = 0 if node.type == "trailer" else 1
        del node.children[at - comma if last else at : at + 1 if last else at + 1 + comma]
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        """Return none: cosmic-ray uses examples only in its tests."""
        return ()


class DropStatement(Operator):  # type: ignore[misc]
    """Replace a call whose result is unused, a `raise` or an `x += 1` with `pass`."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        """Yield the statement's position."""
        if node.type == "simple_stmt":
            part = node.children[0]
            called = part.type == "atom_expr" and part.children[-1].get_code().startswith("(")
            augmented = (
                part.type == "expr_stmt"
                and part.children[1].type == "operator"
                and (part.children[1].value not in {"=", ":"})
            )
            if called or augmented or part.type == "raise_stmt":
                yield part.start_pos, part.end_pos

    def mutate(self, node: Any, _index: int) -> Any:
        """Replace the statement with `pass`."""
        part = node.children[0]
        node.children[0] = Keyword("pass", part.start_pos, part.get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        """Return none: cosmic-ray uses examples only in its tests."""
        return ()


@dataclass(frozen=True)
class Mutant:
    """One change to one file."""

    path: Path
    source: str
    operator: str
    occurrence: int
    first_line: int
    mutated: str

    @property
    def key(self) -> str:
        """Return an id of the mutant that is stable until its file changes."""
        name = f"{self.path.name} {self.source} {self.operator} {self.occurrence}"
        return hashlib.sha256(name.encode()).hexdigest()[:16]

    def diff(self) -> list[str]:
        """Return the file, line and changed lines as a diff."""
        lines = difflib.unified_diff(
            self.source.splitlines(), self.mutated.splitlines(), lineterm="", n=0
        )
        return [f"{self.path}:{self.first_line}", *(line for line in list(lines)[3:])]


@cache
def _operators() -> dict[str, Any]:
    chosen = {name: get_operator(name)() for name in operator_names() if _CHOSEN.fullmatch(name)}
    return chosen | {"DropKeyword": DropKeyword(), "DropStatement": DropStatement()}


class _WithoutAnnotations(ast.NodeTransformer):
    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        # mypy checks whether arguments are passed by name or by position.
        every = [*node.posonlyargs, *node.args, *node.kwonlyargs]
        node.posonlyargs, node.args, node.kwonlyargs = [], every, []
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Name("_")
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)


def _meaning(source: str) -> str:
    return ast.dump(_WithoutAnnotations().visit(ast.parse(source)))


def mutants_of(path: Path) -> list[Mutant]:
    """Return a file's mutants in line order, without those that do not change the code."""
    source = path.read_text()
    tree = get_ast(source)
    meaning = _meaning(source)
    mutants = []
    for name, operator in _operators().items():
        places = [place for node in ast_nodes(tree) for place in operator.mutation_positions(node)]
        for occurrence, (start, _end) in enumerate(places):
            mutated = str(mutate_code(source, operator, occurrence))
            with contextlib.suppress(SyntaxError):  # some changes are invalid Python
                if _meaning(mutated) != meaning:
                    mutants.append(Mutant(path, source, name, occurrence, start[0], mutated))
    return sorted(
        mutants, key=lambda mutant: (mutant.first_line, mutant.operator, mutant.occurrence)
    )

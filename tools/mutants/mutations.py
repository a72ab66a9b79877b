"""List the mutants of a file: cosmic-ray's operators, and two of our own."""

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

# One or two replacements for each operator of the language: more cost time and find little.
_CHOSEN = re.compile(
    r"core/(AddNot|NumberReplacer|ExceptionReplacer|RemoveDecorator|ZeroIterationForLoop"
    r"|Replace(True|False|And|Or|Break|Continue)With\w+"
    r"|ReplaceUnaryOperator_Delete_\w+"
    r"|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Div|Pow_Mul"
    r"|BitOr_BitAnd|BitAnd_BitOr)"
    r"|ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt"
    r"|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt))"
)
# Words for people, which no test needs to pin.
_TEXTS = {"description", "help_text", "label", "verbose_name", "verbose_name_plural"}


class DropKeyword(Operator):  # type: ignore[misc]
    """Leave one keyword argument out of a call."""

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
        """Return where each keyword argument is."""
        arguments = [node.children[at] for at in self._places(node)]
        return [(argument.start_pos, argument.end_pos) for argument in arguments]

    def mutate(self, node: Any, index: int) -> Any:
        """Remove an argument and the comma after it, or before it if it is the last."""
        at = self._places(node)[index]
        last = at + 1 == len(node.children)
        comma = 0 if node.type == "trailer" else 1
        del node.children[at - comma if last else at : at + 1 if last else at + 1 + comma]
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        """Return none: these are for cosmic-ray's own tests."""
        return ()


class DropStatement(Operator):  # type: ignore[misc]
    """Replace a call whose result nobody uses, a `raise` or an `x += 1` with `pass`."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        """Yield where the statement is."""
        if node.type == "simple_stmt":
            one = node.children[0]
            called = one.type == "atom_expr" and one.children[-1].get_code().startswith("(")
            augmented = (
                one.type == "expr_stmt"
                and one.children[1].type == "operator"
                and (one.children[1].value not in {"=", ":"})
            )
            if called or augmented or one.type == "raise_stmt":
                yield one.start_pos, one.end_pos

    def mutate(self, node: Any, _index: int) -> Any:
        """Put `pass` in its place."""
        one = node.children[0]
        node.children[0] = Keyword("pass", one.start_pos, one.get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        """Return none: these are for cosmic-ray's own tests."""
        return ()


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    path: Path
    source: str
    operator: str
    occurrence: int
    first_line: int
    mutated: str

    @property
    def key(self) -> str:
        """Return what names the mutant until its file changes."""
        name = f"{self.path.name} {self.source} {self.operator} {self.occurrence}"
        return hashlib.sha256(name.encode()).hexdigest()[:16]

    def diff(self) -> list[str]:
        """Return the changed lines, as `-` and `+`."""
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
        # Whether an argument may be passed by name or by position is mypy's to see.
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
    """Return a file's mutants in the order of its lines, without those that change no code."""
    source = path.read_text()
    tree = get_ast(source)
    meaning = _meaning(source)
    found = []
    for name, operator in _operators().items():
        places = [place for node in ast_nodes(tree) for place in operator.mutation_positions(node)]
        for occurrence, (start, _end) in enumerate(places):
            mutated = str(mutate_code(source, operator, occurrence))
            with contextlib.suppress(SyntaxError):  # some changes are no Python
                if _meaning(mutated) != meaning:
                    found.append(Mutant(path, source, name, occurrence, start[0], mutated))
    return sorted(found, key=lambda mutant: (mutant.first_line, mutant.operator, mutant.occurrence))

"""Find the functions whose code a mutant changes."""

from __future__ import annotations

from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.mutants.mutations import Mutant

Swaps = dict[tuple[str, int], CodeType]
_COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}


def _codes(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _is_body(code: CodeType) -> bool:
    return bool(code.co_flags & 0x2)  # CO_NEWLOCALS: a function's, not a module's or a class's


def _own(code: CodeType) -> tuple[object, ...]:
    rest = [constant for constant in code.co_consts if not isinstance(constant, CodeType)]
    return code.co_code, code.co_names, code.co_varnames, repr(rest)


def _swaps(old: CodeType, new: CodeType) -> Swaps | None:
    """Return the new code of each function that differs; None if more than functions do."""
    if _is_body(old) and old != new:
        if old.co_name in _COMPREHENSIONS:
            return None
        return {(old.co_qualname, old.co_firstlineno): new}
    if old.co_name != new.co_name or len(_codes(old)) != len(_codes(new)):
        return None
    if not _is_body(old) and _own(old) != _own(new):
        return None
    found: Swaps = {}
    for one, other in zip(_codes(old), _codes(new), strict=True):
        inside = _swaps(one, other)
        if inside is None:
            return None
        found |= inside
    return found


def swaps_of(mutant: Mutant) -> Swaps | None:
    """Return the mutated functions' code by name and line; None if it runs on import."""
    name = str(mutant.path.resolve())
    return _swaps(
        compile(mutant.source, name, "exec", dont_inherit=True),
        compile(mutant.mutated, name, "exec", dont_inherit=True),
    )

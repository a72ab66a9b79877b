"""Find the functions that a mutant changes."""

from __future__ import annotations

from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.mutants.mutations import Mutant

Swaps = dict[tuple[str, int], CodeType]


def _codes(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _is_body(code: CodeType) -> bool:
    return bool(code.co_flags & 0x2)  # CO_NEWLOCALS: a function, not a module or class


def _own(code: CodeType) -> tuple[object, ...]:
    rest = [constant for constant in code.co_consts if not isinstance(constant, CodeType)]
    return code.co_code, code.co_names, code.co_varnames, repr(rest)


def _swaps(old: CodeType, new: CodeType) -> Swaps | None:
    """Return the new code of each changed function; None if other code changed too."""
    if _is_body(old) and old != new:
        return {(old.co_qualname, old.co_firstlineno): new}
    if old.co_name != new.co_name or len(_codes(old)) != len(_codes(new)):
        return None
    if not _is_body(old) and _own(old) != _own(new):
        return None
    swaps: Swaps = {}
    for old_code, new_code in zip(_codes(old), _codes(new), strict=True):
        inner = _swaps(old_code, new_code)
        if inner is None:
            return None
        swaps |= inner
    return swaps


def swaps_of(mutant: Mutant) -> Swaps | None:
    """Return the code of the mutated functions by name and line; None for code run on import."""
    name = str(mutant.path.resolve())
    return _swaps(
        compile(mutant.source, name, "exec", dont_inherit=True),
        compile(mutant.mutated, name, "exec", dont_inherit=True),
    )

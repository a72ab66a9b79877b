"""A mutant runs in a fork if only functions' code differs; all other code runs on import."""

import pytest

from tools.mutants.codes import _swaps

SOURCE = """
LIMITS = {name: 1 for name in "ab"}
PAUSE = 3

class Shop:
    size = 5

    @property
    def half(self, by=2):
        return [self.size / 2 for _ in "x"]

def total(items):
    def one(item):
        return item * 7
    return sum(map(one, items))
"""


def swapped(old: str, new: str) -> set[str] | None:
    """Return the names of the functions to swap where `old` becomes `new`."""
    assert SOURCE.count(old) == 1
    codes = (compile(text, "shop.py", "exec") for text in (SOURCE, SOURCE.replace(old, new)))
    swaps = _swaps(*codes)
    return None if swaps is None else {name for name, _ in swaps}


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("self.size / 2", "self.size * 2", {"Shop.half"}),
        ("item * 7", "item * 8", {"total"}),  # with the function inside it
        ("sum(", "max(", {"total"}),
        ("PAUSE = 3", "PAUSE = 4", None),
        ("name: 1", "name: 2", None),
        ("size = 5", "size = 6", None),
        ("by=2", "by=3", None),
        ("    @property\n", "", None),
    ],
)
def test_functions_are_swapped_and_all_else_is_imported(
    old: str, new: str, names: set[str] | None
) -> None:
    assert swapped(old, new) == names

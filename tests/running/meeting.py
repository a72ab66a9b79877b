"""Two processes that wait for each other at one place, also without what guards that place."""

from __future__ import annotations

import functools
import inspect
import os
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60  # seconds after which the other is given up


def _await_the_other(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    until = time.monotonic() + PATIENCE
    while len(list(folder.iterdir())) < 2:
        assert time.monotonic() < until, "the other process has not come"
        time.sleep(0.001)


def _without(function: Any, guard: str, instead: str) -> Any:
    """Return the function compiled again, with `instead` in place of its guard."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(guard) == 1, f"{guard} is not once in {function.__qualname__}"
    names = inspect.unwrap(function).__globals__.copy()
    exec(source.replace(guard, instead), names)  # noqa: S102 - our own code
    return names[function.__name__]


@contextmanager
def meeting(owner: Any, name: str, folder: str, guard: tuple[str, str] | None) -> Iterator[None]:
    """Begin `owner.name` when both processes have come to it; remove a `guard` from it."""
    function = getattr(owner, name)
    begun = _without(function, *guard) if guard else function

    @functools.wraps(function)
    def together(*args: Any, **kwargs: Any) -> Any:
        _await_the_other(Path(folder))
        return begun(*args, **kwargs)

    with mock.patch.object(owner, name, together):
        yield

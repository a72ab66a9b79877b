"""Customers of the shop, logged in, each with a full cart and the request that orders it.

All that a customer does before pressing the button is put into the database beforehand, so that a
run measures the button alone.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.support.server import APP, ROOT, call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Wanted:
    """A set of buyers, each with one piece of one of `products` new products in the cart."""

    name: str
    buyers: int
    stock: int  # of each product
    flash: bool
    products: int = 1
    by_statement: bool = False  # they order by pgbench: one statement, no HTTP


@dataclass(frozen=True)
class Made:
    """A set of buyers as it stands in the database.

    `requests` has their orders, one each, or `statement` what pgbench runs for each of them.
    """

    wanted: Wanted
    products: list[int]
    users: list[int]
    requests: list[bytes]
    statement: str


def buyers(environment: Mapping[str, str], wanted: Sequence[Wanted]) -> dict[str, Made]:
    """Make sets of buyers in the shop's database and return them by their names."""
    asked = json.dumps([asdict(one) for one in wanted])
    said = call(
        [sys.executable, "-m", "benchmarks.support.inside_shop", asked],
        {**environment, "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(ROOT)},
        APP,
    )
    answers: list[dict[str, Any]] = json.loads(said.splitlines()[-1])
    return {
        one.name: Made(
            one,
            answer["products"],
            answer["users"],
            [request.encode() for request in answer["requests"]],
            answer["statement"],
        )
        for one, answer in zip(wanted, answers, strict=True)
    }

"""The register of what the shop stores of a person (docs/personal-data.md).

Each app registers its own tables: how they are exported, and what is left after an erasure.
`tests/contracts/test_personal_data.py` fails for a table that nobody has registered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.db.models import QuerySet


class ErasureRefusedError(Exception):
    """Nothing can be erased yet. The message says to the user why."""


class PersonalData(NamedTuple):
    """What one app stores of a person in some of its tables.

    `erase` runs in the transaction of the whole erasure, and may raise ErasureRefusedError. Both
    functions get the account's id.
    """

    section: str  # of the export
    models: Sequence[str]  # such as orders.Sale
    export: Callable[[int], object]
    erase: Callable[[int], object]
    left: str  # after an erasure
    kept: str  # how long, without an erasure


registered: dict[str, PersonalData] = {}


def register(data: PersonalData) -> None:
    """Register what an app stores."""
    registered[data.section] = data


def rows(found: QuerySet[Any], *fields: str) -> list[dict[str, Any]]:
    """Return these fields of the rows, for an export."""
    return list(found.order_by("pk").values(*fields))


def exported(user_id: int) -> dict[str, object]:
    """Return everything that is stored of a person, by section."""
    return {section: data.export(user_id) for section, data in registered.items()}


def erase(user_id: int) -> None:
    """Erase what is stored of a person; the upper layers' tables come first.

    Call it in a transaction. Raises ErasureRefusedError.
    """
    for data in reversed(registered.values()):
        data.erase(user_id)


def table() -> str:
    """Return the table of docs/personal-data.md."""
    lines = ["| in the export | tables | kept | left after an erasure |", "|---|---|---|---|"]
    lines += [
        f"| {data.section} | {', '.join(data.models)} | {data.kept} | {data.left} |"
        for data in registered.values()
    ]
    return "\n".join(lines)

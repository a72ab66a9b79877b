"""The shop's own reservation as pgbench can run it: taken from the shop at work, not copied."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction

from cart.selectors import lines_total
from orders.order import CheckoutRequest
from orders.reservation import reserve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cart.selectors import CartLine

# What differs from order to order, by the names of the statement's parameters.
_VARIABLES = {
    "user": ":user",
    "form": "md5('form' || :order)::uuid",
    "reference": "('B-' || :order)",
    "key": "md5('key' || :order)",
    "now": "now()",
    "due": "now()",
}
_HEAD = """\\set before :before + :step
\\set user :before + :client_id
\\set order random(1, 1000000000000000)
"""


# Once for each connection, as the shop does it.
_PREPARE = "\\if :prepared = 0\n{sql};\n\\set prepared 1\n\\endif\n"


class NoStatementError(Exception):
    """The shop's reservation is no longer one statement with named parameters."""


def reservation(user_id: int, lines: list[CartLine]) -> str:
    """Let the shop reserve once, undo it, and return the statement it used as a script.

    Run inside the shop. The script's variables `before` and `step` choose the users: each client
    takes every `step`-th; `prepared` begins as 0. Raises NoStatementError.
    """
    seen: list[tuple[str, Any]] = []

    def note(execute: Callable[..., Any], sql: str, parameters: Any, *rest: Any) -> Any:
        seen.append((sql, parameters))
        return execute(sql, parameters, *rest)

    order = CheckoutRequest(
        user_id=user_id,
        idempotency_key=uuid.uuid4(),
        lines=lines,
        total=lines_total(lines),
        delivery_name="Sam Buyer",
        delivery_address="1 Long Street, Town",
        payment_token="tok_good",  # noqa: S106 - it stands for a test card
    )
    connection.close()  # a new one prepares its statement before our eyes
    with transaction.atomic(), connection.execute_wrapper(note):
        reserve(order, uuid.uuid4().hex)
        transaction.set_rollback(True)
    preparing = [sql for sql, _ in seen if sql.startswith("PREPARE")]
    writing = [
        (sql, parameters)
        for sql, parameters in seen
        if isinstance(parameters, dict) and set(_VARIABLES) <= set(parameters)
    ]
    if len(writing) != 1 or len(preparing) > 1:
        raise NoStatementError([sql.strip()[:60] for sql, _ in seen])
    before = "".join(_PREPARE.format(sql=sql.strip()) for sql in preparing)
    return _HEAD + before + _with_values(*writing[0]) + ";\n"


def _with_values(sql: str, parameters: Mapping[str, Any]) -> str:
    with connection.cursor() as cursor:
        for name, value in parameters.items():
            literal = _VARIABLES.get(name) or cursor.mogrify("%s", [value]).decode()
            sql = sql.replace(f"%({name})s", literal)
    return sql.strip()

"""The reservation on PostgreSQL: one statement in one round trip, all or nothing.

In a flash sale, all buyers wait for one product's row lock, and every round trip made under it
lowers throughput. This statement locks, checks and writes, and its commit follows at once. If
anything is missing, it writes only the cart's `updated_at`, so a refusal leaves no dead rows in the
other tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from retail.db.prepared import Statement

if TYPE_CHECKING:
    from datetime import datetime

    from orders.models import Payment, Sale
    from orders.order import CheckoutRequest

# Prevents overselling. Tests remove it to prove that they would detect it missing.
GUARD = "product.stock >= wanted.quantity"

# `in_cart` and `stock` lock rows before they read them, so they see the latest version. Everywhere,
# the cart is locked first and then products by id. `ready` takes the time when it has all locks:
# ours, plus the seconds that the server has waited, since its clock may differ.
_STATEMENT = """
WITH wanted AS (
    SELECT * FROM unnest(%(products)s, %(quantities)s, %(names)s, %(prices)s)
        AS line (product_id, quantity, product_name, unit_price)
), cart AS (
    UPDATE cart_cart SET updated_at = %(now)s WHERE user_id = %(user)s RETURNING id
), in_cart AS (
    SELECT item.id FROM cart
    JOIN cart_cartitem item ON item.cart_id = cart.id
    JOIN wanted ON wanted.product_id = item.product_id AND wanted.quantity = item.quantity
    FOR UPDATE OF item
), stock AS (
    SELECT product.id FROM products_product product
    JOIN wanted ON wanted.product_id = product.id
    WHERE (SELECT count(*) FROM in_cart) = %(lines)s AND product.is_active AND {guard}
    ORDER BY product.id
    FOR NO KEY UPDATE OF product
), ready AS (
    SELECT %(now)s + (clock_timestamp() - statement_timestamp()) AS at
    WHERE (SELECT count(*) FROM stock) = %(lines)s
), decremented AS (
    UPDATE products_product product SET stock = product.stock - wanted.quantity
    FROM wanted, ready WHERE product.id = wanted.product_id
), removed AS (
    DELETE FROM cart_cartitem item USING in_cart, ready WHERE item.id = in_cart.id
), movement AS (
    INSERT INTO products_stockmovement (product_id, quantity, reason, reference, created_at)
    SELECT product_id, -quantity, 'sale', %(reference)s, at FROM wanted, ready
), sale AS (
    INSERT INTO orders_sale (reference, user_id, status, kind, total, currency, idempotency_key,
        delivery_name, delivery_address, email, request_id, created_at)
    SELECT %(reference)s, %(user)s, 'PENDING', %(kind)s, %(total)s, %(currency)s, %(form)s,
        %(name)s, %(address)s, %(email)s, %(request)s, at FROM ready
    RETURNING id
), item AS (
    INSERT INTO orders_saleitem (sale_id, product_id, product_name, unit_price, quantity)
    SELECT sale.id, product_id, product_name, unit_price, quantity FROM sale, wanted
), payment AS (
    INSERT INTO orders_payment (sale_id, key, token, gateway, amount, currency, status,
        failure_reason, created_at, sent_at, due_at)
    SELECT sale.id, %(key)s, %(token)s, %(gateway)s, %(total)s, %(currency)s, 'PENDING', '', at,
        %(sent)s + (at - %(now)s), %(due)s + (at - %(now)s)
    FROM sale, ready
    RETURNING id
)
SELECT (SELECT id FROM sale), (SELECT id FROM payment),
    (SELECT count(*) FROM in_cart) = %(lines)s, ARRAY(SELECT id FROM stock), (SELECT at FROM ready)
"""

# The statement's parameters and their types, in order.
_PARAMETERS = {
    "products": "bigint[]",
    "quantities": "integer[]",
    "names": "text[]",
    "prices": "numeric[]",
    "lines": "bigint",
    "user": "bigint",
    "reference": "text",
    "kind": "text",
    "total": "numeric",
    "currency": "text",
    "form": "uuid",
    "name": "text",
    "address": "text",
    "email": "text",
    "request": "text",
    "now": "timestamptz",
    "key": "text",
    "token": "text",
    "gateway": "text",
    "sent": "timestamptz",
    "due": "timestamptz",
}


@dataclass(frozen=True)
class Result:
    """The new rows' ids, or None with the reason: a changed cart, or products without stock."""

    sale_id: int | None
    payment_id: int | None
    cart_unchanged: bool
    in_stock: list[int]
    reserved_at: datetime | None


def reserve(order: CheckoutRequest, sale: Sale, payment: Payment) -> Result:
    """Take stock and cart lines; insert `sale` with its items and `payment`.

    Raises IntegrityError if a constraint is violated; nothing is written then.
    """
    values = {
        "products": [line.product.pk for line in order.lines],
        "quantities": [line.quantity for line in order.lines],
        "names": [line.product.name for line in order.lines],
        "prices": [line.unit_price for line in order.lines],
        "lines": len(order.lines),
        "user": sale.user_id,
        "reference": sale.reference,
        "kind": sale.kind,
        "total": sale.total,
        "currency": sale.currency,
        "form": sale.idempotency_key,
        "name": sale.delivery_name,
        "address": sale.delivery_address,
        "email": sale.email,
        "request": sale.request_id,
        "now": sale.created_at,
        "key": payment.key,
        "token": payment.token,
        "gateway": payment.gateway,
        "sent": payment.sent_at,
        "due": payment.due_at,
    }
    return Result(*_statement(_STATEMENT, GUARD).rows(values)[0])


@cache
def _statement(text: str, guard: str) -> Statement:
    return Statement("reserve", text.replace("{guard}", guard), _PARAMETERS)

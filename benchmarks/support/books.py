"""What must be true of the shop's books after every run, asked of the database itself."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import psycopg2

if TYPE_CHECKING:
    from collections.abc import Sequence

_SOLD = """
    SELECT count(DISTINCT sale.id), count(DISTINCT payment.id), coalesce(sum(item.quantity), 0),
        count(DISTINCT sale.id) FILTER (WHERE sale.status = 'CONFIRMED'),
        count(DISTINCT payment.id) FILTER (WHERE payment.status = 'COMPLETED')
    FROM orders_saleitem item
    JOIN orders_sale sale ON sale.id = item.sale_id
    JOIN orders_payment payment ON payment.sale_id = sale.id
    WHERE item.product_id = ANY(%s) AND sale.status IN ('PENDING', 'CONFIRMED')
"""
_STOCK = """
    SELECT product.stock, coalesce(sum(movement.quantity), 0),
        coalesce(sum(movement.quantity) FILTER (WHERE movement.quantity > 0), 0)
    FROM products_product product
    LEFT JOIN products_stockmovement movement ON movement.product_id = product.id
    WHERE product.id = ANY(%s) GROUP BY product.id
"""


class BooksError(Exception):
    """A run sold something else than it answered; its speed is worth nothing."""


def rows(database_url: str, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Return a query's rows."""
    connection = psycopg2.connect(database_url)
    with contextlib.closing(connection), connection, connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return cursor.fetchall() if cursor.description else []


def vacuum(database_url: str) -> None:
    """Tidy up after a big fill, so that PostgreSQL doesn't do it in the middle of a run."""
    connection = psycopg2.connect(database_url)
    with contextlib.closing(connection), connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


def check(database_url: str, products: Sequence[int], *, sold: int, paid: bool = False) -> None:
    """See that exactly `sold` orders of one piece were made of these products, and paid if said so.

    Raises BooksError if orders, payments, units, the stock or its ledger say anything else.
    """
    [(sales, payments, units, confirmed, completed)] = rows(database_url, _SOLD, list(products))
    if {sales, payments, units} != {sold}:
        raise BooksError(f"{sold} answers, {sales} sales, {payments} payments, {units} units")
    if {confirmed, completed} != {sold if paid else 0}:
        raise BooksError(f"{sold} sales, {confirmed} confirmed, {completed} paid")
    stocks = rows(database_url, _STOCK, list(products))
    wrong = [row for row in stocks if row[0] != row[1] or row[0] < 0]
    offered, left = sum(row[2] for row in stocks), sum(row[0] for row in stocks)
    if wrong or offered - left != sold:
        raise BooksError(f"{offered} offered, {left} left, {sold} sold; stock and ledger: {wrong}")

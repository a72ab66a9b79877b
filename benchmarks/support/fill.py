"""A shop with a past: many old orders, all paid and confirmed, with books that balance."""

from __future__ import annotations

import contextlib
import secrets

import psycopg2

PRODUCTS, CUSTOMERS = 200, 20_000
LEFT = 1000  # of each product, after all those orders

# Order n is one piece, for 10.00, of product n modulo PRODUCTS, bought by customer n modulo
# CUSTOMERS; they came every 30 seconds until an hour ago.
_STATEMENTS = """
    CREATE TEMPORARY TABLE people ON COMMIT DROP AS
        SELECT nextval('auth_user_id_seq') AS id, number
        FROM generate_series(0, %(customers)s - 1) number;
    INSERT INTO auth_user (id, username, password, first_name, last_name, email, is_superuser,
        is_staff, is_active, date_joined)
    SELECT id, %(tag)s || number, '!', '', '', '', false, false, true, now() FROM people;

    INSERT INTO products_category (name, slug) VALUES (%(tag)s, %(tag)s);
    CREATE TEMPORARY TABLE things ON COMMIT DROP AS
        SELECT nextval('products_product_id_seq') AS id, number
        FROM generate_series(0, %(products)s - 1) number;
    INSERT INTO products_product (id, category_id, name, slug, description, image, price, currency,
        stock, is_active)
    SELECT id, (SELECT id FROM products_category WHERE slug = %(tag)s), %(tag)s || number,
        %(tag)s || number, '', 'products/placeholder.svg', 10, %(currency)s, %(left)s, true
    FROM things;

    CREATE TEMPORARY TABLE old ON COMMIT DROP AS
        SELECT nextval('orders_sale_id_seq') AS sale, people.id AS person, things.id AS thing,
            things.number AS number, %(tag)s || lpad(to_hex(n), 7, '0') AS reference,
            now() - interval '1 hour' - (%(sales)s - n) * interval '30 seconds' AS at
        FROM generate_series(1, %(sales)s) n
        JOIN people ON people.number = mod(n, %(customers)s)
        JOIN things ON things.number = mod(n, %(products)s)
        ORDER BY n;
    INSERT INTO orders_sale (id, reference, user_id, status, kind, total, currency, idempotency_key,
        delivery_name, delivery_address, request_id, created_at, finished_at, confirmation_sent_at)
    SELECT sale, reference, person, 'CONFIRMED', 'cart', 10, %(currency)s, gen_random_uuid(),
        'Sam Buyer', '1 Long Street, Town', '', at, at, at
    FROM old;
    INSERT INTO orders_saleitem (sale_id, product_id, product_name, unit_price, quantity)
    SELECT sale, thing, %(tag)s || number, 10, 1 FROM old;
    INSERT INTO orders_payment (sale_id, key, token, amount, currency, status, failure_reason,
        created_at, settled_at, due_at)
    SELECT sale, replace(gen_random_uuid()::text, '-', ''), 'tok_good', 10, %(currency)s,
        'COMPLETED', '', at, at, at
    FROM old;
    INSERT INTO products_stockmovement (product_id, quantity, reason, reference, created_at)
    SELECT id, %(left)s + count(old.sale), 'seed', 'fill',
        now() - interval '1 hour' - %(sales)s * interval '30 seconds'
    FROM things LEFT JOIN old ON thing = id GROUP BY id;
    INSERT INTO products_stockmovement (product_id, quantity, reason, reference, created_at)
    SELECT thing, -1, 'sale', reference, at FROM old;
"""


def fill(database_url: str, sales: int, currency: str = "EUR") -> None:
    """Add so many old orders to the shop's PostgreSQL database, with new products and customers.

    Takes about 20 seconds for a million. The user must be a superuser of the database: the foreign
    keys, right by construction, are not checked row by row.
    """
    values = {
        "sales": sales,
        "customers": CUSTOMERS,
        "products": PRODUCTS,
        "left": LEFT,
        "currency": currency,
        "tag": f"Past-{secrets.token_hex(3)}-",
    }
    connection = psycopg2.connect(database_url)
    with contextlib.closing(connection), connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(_STATEMENTS, values)
    with contextlib.closing(psycopg2.connect(database_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")

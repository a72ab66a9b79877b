"""A whole reservation in one statement on the shop's tables: what the database can do at best.

Nobody asks who the buyer is or what is in the cart. Parameters: product, user, form (a UUID),
reference and key.
"""

RESERVE = """
WITH taken AS (
    UPDATE products_product SET stock = stock - 1
    WHERE id = %(product)s AND is_active AND stock >= 1
    RETURNING id, name, currency, coalesce(flash_price, price) AS price
), sale AS (
    INSERT INTO orders_sale (reference, user_id, status, kind, total, currency, idempotency_key,
        delivery_name, delivery_address, request_id, created_at)
    SELECT %(reference)s, %(user)s::int, 'PENDING', 'flash', price, currency, %(form)s::uuid,
        'Sam Buyer', '1 Long Street, Town', '', now()
    FROM taken RETURNING id
), item AS (
    INSERT INTO orders_saleitem (sale_id, product_id, product_name, unit_price, quantity)
    SELECT sale.id, taken.id, name, price, 1 FROM sale, taken
), movement AS (
    INSERT INTO products_stockmovement (product_id, quantity, reason, reference, created_at)
    SELECT id, -1, 'sale', %(reference)s, now() FROM taken
), payment AS (
    INSERT INTO orders_payment (sale_id, key, token, amount, currency, status, failure_reason,
        created_at, due_at)
    SELECT sale.id, %(key)s, 'tok_good', price, currency, 'PENDING', '', now(), now()
    FROM sale, taken
)
SELECT id FROM sale
"""

# The same for pgbench, which makes up the parameters itself: :product and :users are given.
PGBENCH = (
    "\\set user random(:first_user, :last_user)\n"
    "\\set order random(1, 1000000000000000)\n"
    + RESERVE.replace("%(product)s", ":product")
    .replace("%(user)s::int", ":user")
    .replace("%(form)s::uuid", "gen_random_uuid()")
    .replace("%(reference)s", "'B-' || :order")
    .replace("%(key)s", "gen_random_uuid()::text")
    .strip()
    + ";\n"
)

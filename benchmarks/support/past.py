"""Ninety days of a shop: Metric rows by the million, and the orders that some of them tell of."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from retail.models import Metric

DAYS = 90
AHEAD = 3600  # seconds that rows go on into the future, so that there are some of each minute
ROWS_A_SALE = 50

# Of 20 rows 9 tell of errors, 9 of times, one of the breaker and one of something else, as if
# several processes had been asked for pages all the time, and every hundredth row had an error.
_ROWS = """
    WITH RECURSIVE {numbers}
    INSERT INTO retail_metric (metric_type, value, metadata, timestamp)
    SELECT
        CASE WHEN n % 20 < 9 THEN 'error_rate'
            WHEN n % 20 < 18 THEN 'avg_response_time'
            WHEN n % 20 = 18 THEN 'circuit_breaker_state'
            WHEN n % 40 = 19 THEN 'throttled_requests'
            WHEN n % 5 = 4 AND n % 80 = 39 THEN 'orders_per_day'
            ELSE 'payment_success_rate' END,
        CASE WHEN n % 20 < 9 THEN CASE WHEN n % 200 < 2 THEN 100.0 / (40 + n % 7) ELSE 0 END
            WHEN n % 20 < 18 THEN 20 + n % 50
            WHEN n % 20 = 18 THEN 0 ELSE 1 END,
        {json}(CASE
            WHEN n % 20 < 9 THEN '{{"count": ' || (40 + n % 7) || ', "interval_seconds": 10, '
                || '"client_errors": ' || (n % 5) || ', "errors": '
                || CASE WHEN n % 200 < 2 THEN '1, "recent": [{{"request_id": "' || n
                || '", "view": "home", "status": 500, "at": "2026-11-22T14:20:30+00:00"}}]}}'
                ELSE '0}}' END
            WHEN n % 20 < 18 THEN '{{"count": ' || (40 + n % 7) || ', "interval_seconds": 10, '
                || '"max_ms": ' || (300 + n % 900) || '.25, "buckets": [1, 4, '
                || (10 + n % 7) || ', 12, 8, 3, 1, 1, 0, 0, 0, 0]}}'
            WHEN n % 20 = 18 THEN '{{"breaker": "payments", "state": "CLOSED", "count": 3, '
                || '"attempts": {{"closed": 3, "half_open": 0, "open": 0}}}}'
            WHEN n % 40 = 19 THEN '{{"scope": "checkout", "user_id": ' || (n % 999) || '}}'
            ELSE '{{"order_ref": "VT-' || n || '"}}' END),
        {time}
    FROM numbers
"""
_SALES = """
    WITH RECURSIVE {numbers}
    INSERT INTO orders_sale (reference, user_id, status, kind, total, currency, idempotency_key,
        delivery_name, delivery_address, request_id, created_at, finished_at)
    SELECT 'VT-' || n, {user}, CASE WHEN n % 25 = 0 THEN 'FAILED' ELSE 'CONFIRMED' END,
        CASE WHEN n % 4 = 0 THEN 'flash' ELSE 'cart' END, 10 + n % 90, 'EUR', {uuid},
        'Bea Buyer', '1 Example Street', '', {time}, {time}
    FROM numbers
"""
_PAYMENTS = """
    INSERT INTO orders_payment (sale_id, key, token, amount, currency, status, failure_reason,
        created_at, settled_at, due_at)
    SELECT id, reference, 'tok_good', total, currency,
        CASE WHEN status = 'CONFIRMED' THEN 'COMPLETED' ELSE 'FAILED' END,
        CASE WHEN status = 'CONFIRMED' THEN '' ELSE 'declined' END,
        created_at, finished_at, created_at
    FROM orders_sale
"""
# Evenly over ninety days, and some in each minute of late and each hour of two weeks: else pages
# of fewer rows would have less to show, and would be faster for that.
_SERIES = {
    "postgresql": "SELECT k FROM generate_series(0, {most}) AS series (k)",
    "sqlite": "SELECT 0 UNION ALL SELECT k + 1 FROM series WHERE k < {most}",
}
_EVENLY = """series (k) AS ({series}),
    numbers (n, at) AS (SELECT k, {first} + k * {every} FROM series)"""
_LATELY = """series (k) AS ({series}),
    numbers (n, at) AS (
        SELECT {beyond} + 40 * k + place, CASE WHEN k < {minutes} THEN {last} - 60 * k
            ELSE {last} - 3600 * (k - {minutes}) END
        FROM series CROSS JOIN ({places}) AS places)"""
_PLACES = "SELECT 0 AS place UNION SELECT 9 UNION SELECT 18 UNION SELECT 19 UNION SELECT 39"
_MINUTES, _HOURS = 240, 15 * 24
_WORDS = {
    "postgresql": {
        "time": "to_timestamp(at)",
        "json": "jsonb",
        "uuid": "lpad(to_hex(n), 32, '0')::uuid",
    },
    "sqlite": {
        "time": "strftime('%Y-%m-%d %H:%M:%f000', at, 'unixepoch')",
        "json": "",
        "uuid": "printf('%032x', n)",
    },
}


def _fill(statement: str, rows: int, now: float, places: str) -> None:
    """Run a statement for about so many rows of ninety days and the hour to come."""
    length = DAYS * 86_400
    steps = _MINUTES + _HOURS
    even = rows - steps * places.count("SELECT")
    facts = {
        "first": now - length,
        "last": now + AHEAD,
        "every": length / even,
        "beyond": 1_000_000_000,  # numbers of rows that the others don't reach
        "minutes": _MINUTES,
        "places": places,
    }
    user = User.objects.get_or_create(username="buyer")[0].pk
    for numbers, most in ((_EVENLY, even * (length + AHEAD) // length), (_LATELY, steps)):
        series = _SERIES[connection.vendor].format(most=most - 1)
        words = {"numbers": numbers.format(series=series, **facts), **_WORDS[connection.vendor]}
        with connection.cursor() as cursor:
            cursor.execute(statement.format(user=user, **words))


def fill_past(rows: int) -> None:
    """Write `rows` Metric rows of ninety days, and a fiftieth as many sales, into empty tables."""
    now = timezone.now().timestamp()
    indexes = Metric._meta.indexes  # noqa: SLF001 - what Django calls its public interface
    with transaction.atomic(), connection.cursor() as cursor:
        # Ten million rows are sorted into an index faster than they are put in one by one.
        for index in indexes:
            cursor.execute(f"DROP INDEX {index.name}")
        _fill(_ROWS, rows, now, _PLACES)
        for index in indexes:
            cursor.execute(str(index.create_sql(Metric, connection.schema_editor())))
        _fill(_SALES, rows // ROWS_A_SALE + _MINUTES + _HOURS + 1, now, "SELECT 1 AS place")
        cursor.execute(_PAYMENTS)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")

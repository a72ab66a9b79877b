"""The scenarios that are evaluated on the running shop."""

from orders import metrics as order_metrics
from orders.models import Payment, Sale
from partner_feeds import metrics as feed_metrics
from partner_feeds.models import Ingestion
from products.models import StockMovement
from quality import evaluators, feed_evaluators
from quality.scenario import EvidenceQuery, Scenario
from retail.audit.declare import OVERSOLD
from retail.models import AuditViolation, Metric
from retail.observability.prometheus import catalogue
from retail.thresholds import THRESHOLDS, in_words

METRIC, VIOLATION = Metric._meta.db_table, AuditViolation._meta.db_table  # noqa: SLF001 - public in all but name
# Of events: a row's value, times the number of events that it represents.
NUMBER = "coalesce(sum(value * coalesce(CAST(metadata ->> 'count' AS bigint), 1)), 0)"
PAYMENT, SALE = Payment._meta.db_table, Sale._meta.db_table  # noqa: SLF001 - the same
INGESTION, MOVEMENT = Ingestion._meta.db_table, StockMovement._meta.db_table  # noqa: SLF001 - the same
FLASH_SECONDS = THRESHOLDS.flash_payments.most_seconds
UNKNOWN_AGE = in_words(THRESHOLDS.unknown_payments.most_age_seconds)
_FLASH_CHECKOUTS = f'{order_metrics.CHECKOUT_DURATION.name}_bucket{{kind="flash"}}[$window]'

A1 = Scenario(
    id="A1",
    title="Flash-sale concurrency",
    source="Many buyers who want the same few units",
    stimulus="They check out the same product at the same moment",
    environment="A flash sale under peak load; several web processes on one database",
    artifact="Stock reservation in the checkout, and the stock ledger",
    response="Each unit is sold once; buyers who are too late see that it is sold out and keep "
    "their cart",
    measure=f"{THRESHOLDS.stock_conflicts.most_conflicts} stock conflicts and "
    f"{THRESHOLDS.oversold.most_units} oversold units, with flash-sale checkouts or "
    "checkouts within a second of each other in the window",
    evaluate=evaluators.flash_sale,
    queries=(
        EvidenceQuery(
            "SQL",
            f"SELECT {NUMBER} FROM {METRIC}\n"  # noqa: S608 - names of our own tables
            "WHERE metric_type = 'stock_conflicts' AND timestamp >= '$since'",
        ),
        EvidenceQuery(
            "SQL",
            f"SELECT coalesce(sum(amount), 0) FROM {VIOLATION}\n"  # noqa: S608 - the same
            f"WHERE invariant = '{OVERSOLD}' AND resolved_at IS NULL",
        ),
        EvidenceQuery("PromQL", f"sum(increase({order_metrics.STOCK_CONFLICTS.name}[$window]))"),
        EvidenceQuery("PromQL", f"max({catalogue.OVERSOLD_UNITS.name})"),
    ),
    proofs=(
        "tests/orders/test_races.py::test_fifty_concurrent_buyers_of_ten_units_get_ten",
        ("tests/orders/test_races.py::test_without_the_guard_the_same_race_hits_the_constraint"),
        "tests/orders/test_races.py::test_one_cart_ordered_in_many_tabs_places_one_order",
    ),
    runbooks=("RetailOversold", "RetailStockConflict"),
)

A2 = Scenario(
    id="A2",
    title="Payment service resilience",
    source="The payment gateway",
    stimulus="It fails, hangs or answers slowly",
    environment="Normal operation, with buyers at the checkout",
    artifact="The charge, its retries and the circuit breaker",
    response="Charges with an answer are settled; those without are resolved later. While the "
    "breaker is open, checkouts fail fast, before anything is reserved",
    measure=f"≥ {THRESHOLDS.payment_success.least_ratio:.0%} of settled payments completed, "
    f"counting those without an outcome for {UNKNOWN_AGE} as failed; while the breaker is open, "
    f"checkouts fail in under {THRESHOLDS.fast_fail.most_seconds * 1000:g} ms "
    f"(p{100 * THRESHOLDS.fast_fail.least_ratio:g}); fewer than "
    f"{THRESHOLDS.payment_success.least_payments} payments are not evaluated",
    evaluate=evaluators.payments,
    queries=(
        EvidenceQuery(
            "SQL",
            f"SELECT status, count(*) FROM {PAYMENT}\n"  # noqa: S608 - the same
            "WHERE settled_at >= '$since'\n"
            "   OR (status IN ('UNKNOWN', 'PENDING') AND created_at >= '$since')\n"
            "GROUP BY status",
        ),
        EvidenceQuery(
            "PromQL",
            f'sum(increase({order_metrics.PAYMENTS.name}{{outcome="completed"}}[$window]))\n'
            f"  / sum(increase({order_metrics.PAYMENTS.name}[$window]))",
        ),
        EvidenceQuery(
            "PromQL",
            f"histogram_quantile({THRESHOLDS.fast_fail.least_ratio:g}, sum by (le) "
            f"(increase({catalogue.FAST_FAIL_DURATION.name}_bucket[$window])))",
        ),
    ),
    proofs=(
        "tests/orders/test_checkout.py::test_an_open_breaker_refuses_before_anything_is_reserved",
        "tests/orders/test_recovery.py::test_after_two_minutes_its_key_is_cancelled_and_the_answer_settles_it",
        "tests/payments/test_breaker.py::test_it_opens_at_the_limit_and_refuses_for_the_whole_reset_time",
    ),
    runbooks=("RetailPaymentSuccessLow", "RetailCircuitBreakerOpen"),
)

P1 = Scenario(
    id="P1",
    title="Throttling",
    source="A buyer, or a program in a buyer's name",
    stimulus="Sends checkouts, log-ins, searches or password resets faster than any person would",
    environment="Normal operation, with other buyers in the shop",
    artifact="The throttle of checkout, log-in, registration, search and password reset",
    response="Gets a 429 with the time to wait; other visitors are not affected",
    measure="Throttled requests are counted; during throttling, at most "
    f"{THRESHOLDS.error_rate.most_ratio:.0%} of all responses are errors, and the response time is "
    f"at most {THRESHOLDS.response_time.most_seconds:g} s (p95)",
    evaluate=evaluators.throttling,
    queries=(
        EvidenceQuery(
            "SQL",
            f"SELECT {NUMBER} FROM {METRIC}\n"  # noqa: S608 - the same
            "WHERE metric_type = 'throttled_requests' AND timestamp >= '$since'",
        ),
        EvidenceQuery("PromQL", f"sum by (scope) (increase({catalogue.THROTTLED.name}[$window]))"),
        EvidenceQuery(
            "PromQL",
            f'sum(increase({catalogue.HTTP_DURATION.name}_count{{status="5xx"}}[$window]))\n'
            f"  / sum(increase({catalogue.HTTP_DURATION.name}_count[$window]))",
        ),
    ),
    proofs=(
        "tests/orders/test_views.py::test_too_many_attempts_are_429_with_the_time_to_wait",
        "tests/retail/test_throttling.py::test_exactly_the_limit_passes_in_a_window",
        "tests/retail/test_throttling.py::test_keys_are_counted_separately",
        "tests/accounts/test_guessing.py::test_a_client_may_guess_a_few_times",
    ),
    runbooks=("RetailErrorRateHigh",),
)

P2 = Scenario(
    id="P2",
    title="Asynchronous payment of flash sales",
    source="The buyers of a flash sale",
    stimulus="Place their orders at the same time",
    environment="Peak load and a slow gateway",
    artifact="The flash-sale checkout, and the worker that charges afterwards",
    response="The request reserves the stock and responds without calling the gateway; the worker "
    "charges, and the order page shows the progress",
    measure=f"≥ {THRESHOLDS.flash_payments.least_ratio:.0%} of flash-sale payments settled "
    f"within {FLASH_SECONDS} s; no job waits longer than {THRESHOLDS.queue.most_waiting_seconds} s",
    evaluate=evaluators.async_split,
    queries=(
        EvidenceQuery(
            "SQL",
            f"SELECT payment.created_at, payment.settled_at FROM {PAYMENT} payment\n"  # noqa: S608 - the same
            f"JOIN {SALE} sale ON sale.id = payment.sale_id\n"
            "WHERE sale.kind = 'flash' AND sale.created_at >= '$since'",
        ),
        EvidenceQuery(
            "PromQL", f"histogram_quantile(0.95, sum by (le) (increase({_FLASH_CHECKOUTS})))"
        ),
        EvidenceQuery("PromQL", f"max({catalogue.JOBS_OLDEST_WAITING.name})"),
    ),
    proofs=(
        "tests/orders/test_checkout.py::test_a_flash_sale_reserves_in_the_request_and_charges_in_the_worker",
        (
            "tests/orders/test_recovery.py"
            "::test_the_workers_poller_finishes_due_payments_without_the_queue"
        ),
    ),
    runbooks=("RetailQueueStalled",),
)

I1 = Scenario(
    id="I1",
    title="The feed pipeline",
    source="A partner's system",
    stimulus="Delivers a feed with errors in some rows",
    environment="Normal operation",
    artifact="Reading, validation and import of a feed",
    response="Valid rows are imported; each invalid row is reported with its reason",
    measure="Every row of the files applied in the window is accounted for: created, updated, "
    "unchanged or rejected; every rejected row is stored with its reason",
    evaluate=feed_evaluators.pipeline,
    queries=(
        EvidenceQuery(
            "SQL",
            "SELECT coalesce(sum(rows + absent), 0),\n"
            "    coalesce(sum(created + updated + unchanged + rejected), 0)\n"
            f"FROM {INGESTION}\n"
            "WHERE status = 'DONE' AND takes_back_id IS NULL AND finished_at >= '$since'",
        ),
        EvidenceQuery(
            "PromQL",
            "sum by (result) "
            f"(max by (partner, result) (increase({feed_metrics.ROWS.name}[$window])))",
        ),
    ),
    proofs=(
        "tests/partner_feeds/test_samples.py::test_a_sample_gives_exactly_its_items_and_rejects",
        "tests/partner_feeds/test_pipeline.py::test_rows_with_the_same_key_are_all_rejected",
        "tests/partner_feeds/test_pipeline.py::test_a_refused_file_changes_nothing",
        "tests/partner_feeds/test_pipeline.py::test_it_goes_on_where_it_was_interrupted",
    ),
    runbooks=("RetailFeedRejects", "RetailFeedHeld"),
)

I2 = Scenario(
    id="I2",
    title="Bulk upsert",
    source="A partner's system",
    stimulus="Delivers the same large feed again",
    environment="Normal operation, with buyers in the shop",
    artifact="Writing the products of a feed to the database",
    response="New products are created, changed ones updated, and the rest left alone",
    measure="A file with nothing new makes no change and no stock movement; while files are taken "
    f"in, the response time is at most {THRESHOLDS.response_time.most_seconds:g} s (p95)",
    evaluate=feed_evaluators.bulk_upsert,
    queries=(
        EvidenceQuery(
            "SQL",
            f"SELECT count(*) FROM {MOVEMENT} movement\n"  # noqa: S608 - the same
            f"JOIN {INGESTION} ingestion ON ingestion.reference = movement.reference\n"
            "WHERE ingestion.status IN ('DONE', 'UNCHANGED') AND created + updated = 0\n"
            "  AND takes_back_id IS NULL AND ingestion.finished_at >= '$since'",
        ),
        EvidenceQuery(
            "PromQL",
            f"max by (outcome) (increase({feed_metrics.INGESTIONS.name}[$window]))",
        ),
    ),
    proofs=(
        "tests/partner_feeds/test_pipeline.py::test_the_same_file_again_is_not_read",
        "tests/partner_feeds/test_pipeline.py::test_a_second_import_of_the_same_rows_changes_nothing",
        "tests/partner_feeds/test_pipeline.py::test_sales_in_between_are_not_undone",
    ),
    runbooks=("RetailFeedStale", "RetailFeedHeld"),
)

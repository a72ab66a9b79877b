"""Stock, and the other invariants that the audit checks."""

from alerts.model import Alert, Group, span
from alerts.queries import happened, last_known
from retail.thresholds import THRESHOLDS, in_words

CONFLICTS = THRESHOLDS.stock_conflicts
OVERSOLD = THRESHOLDS.oversold
AUDIT = THRESHOLDS.invariants

# As the apps declare them; a test compares. An invariant missing here would have no alert when it
# is not audited.
INVARIANTS = (
    "ledger_equals_stock",
    "sold_within_offered",
    "movements_match_order",
    "movement_has_order",
    "order_amounts_agree",
    "sale_status_matches_payments",
    "confirmed_sale_is_paid_once",
    "charge_has_payment",
    "payment_has_charge",
    "refunds_within_captured",
    "pending_within_deadline",
    "refunds_match_reserved",
    "refunds_match_gateway",
    "gateway_refund_has_row",
    "refund_within_deadline",
    "returned_within_sold",
    "restocked_as_received",
    "feed_moved_as_applied",
)


RECORDINGS = (
    last_known("service:retail_oversold_units:last", "max(retail_oversold_units)"),
    last_known(
        "service:retail_invariant_violations:last",
        "max by (invariant) (retail_invariant_violations)",
    ),
)

STOCK_CONFLICT = Alert(
    name="RetailStockConflict",
    expr=happened(
        "retail_stock_conflicts_total", span(CONFLICTS.window_seconds), CONFLICTS.most_conflicts
    ),
    severity="warning",
    service="shop",
    summary="A database constraint rejected a checkout",
    description=f"In the last {CONFLICTS.window_seconds // 60} minutes a database constraint "
    "rejected a checkout that the shop's own checks had accepted. Nothing was oversold, but one of "
    "these checks has a bug. First steps:",
    steps=(
        (
            "Run docker compose logs --since 20m web worker and find event=stock.conflict. Which "
            "products and requests are affected?"
        ),
        "Run docker compose exec web python manage.py audit. Do stock and ledger still agree?",
        "If it started with a deployment, roll back.",
    ),
    dashboard="retail-flash-sale",
    logs=(("var-logger", "retail.orders"), ("var-level", "ERROR")),
)

OVERSOLD_UNITS = Alert(
    name="RetailOversold",
    expr=f"service:retail_oversold_units:last > {OVERSOLD.most_units}",
    severity="critical",
    service="shop",
    summary="Units sold beyond the available stock: {{ $value }}",
    description="Paid orders have more units of a product than the shop ever offered. "
    "Each of them is an order that cannot be fulfilled. First steps:",
    steps=(
        (
            "Run docker compose exec web python manage.py audit --invariant sold_within_offered. "
            "It lists the products."
        ),
        "Take these products off sale: in the admin, under Products, clear Is active.",
        (
            "Compare docker compose logs --since 1h web worker with the products' stock movements "
            "in the admin. Is a movement missing, or an order duplicated?"
        ),
    ),
    dashboard="retail-flash-sale",
    logs=(("var-logger", "retail.audit"), ("var-level", "ERROR")),
)

INVARIANT_VIOLATED = Alert(
    name="RetailInvariantViolated",
    expr=f"service:retail_invariant_violations:last > {AUDIT.most_violations}",
    severity="critical",
    service="shop",
    summary="Violations of invariant {{ $labels.invariant }}: {{ $value }}",
    description="The audit found rows that violate an invariant on stock, orders or money. "
    "First steps:",
    steps=(
        (
            "Run docker compose exec web python manage.py audit --invariant {{ $labels.invariant "
            "}}. It lists the rows; the admin shows them under Audit violations."
        ),
        "Search for their ids in docker compose logs --since 1h web worker. What happened?",
        (
            "Do not correct rows in the database until you know the cause: the ledger is the "
            "evidence."
        ),
    ),
    dashboard="retail-shop",
    logs=(("var-logger", "retail.audit"), ("var-level", "ERROR")),
)

AUDIT_STALE = Alert(
    name="RetailAuditStale",
    expr="\nor ".join(
        f'absent(retail_invariant_violations{{invariant="{name}"}})' for name in INVARIANTS
    ),
    for_seconds=AUDIT.stale_for_seconds,
    severity="warning",
    service="watch",
    summary="The audit of {{ $labels.invariant }} is not running",
    description="The audit runs every minute, but has not checked this invariant for more than "
    f"{in_words(AUDIT.stale_after_seconds)}. A violation would go unnoticed. First steps:",
    steps=(
        (
            "Run docker compose ps db worker gateway. The worker runs the audit and asks the "
            "gateway about charges."
        ),
        (
            "Run docker compose exec web python manage.py audit --invariant "
            "{{ $labels.invariant }}. It prints what is blocking it."
        ),
        (
            "Run docker compose logs --since 20m worker and find event=audit.failed, "
            "event=audit.not_checked and event=job.failed."
        ),
    ),
    dashboard="retail-jobs",
    logs=(
        ("var-service", "worker"),
        ("var-logger", "retail.audit"),
        ("var-logger", "retail.jobs"),
    ),
)

GROUPS = (
    Group(
        "retail_stock",
        (*RECORDINGS, STOCK_CONFLICT, OVERSOLD_UNITS, INVARIANT_VIOLATED, AUDIT_STALE),
    ),
)

"""The promises that must hold always: stock, and the audit's other invariants."""

from alerts.model import Alert, Group, span
from retail.thresholds import THRESHOLDS, in_words

CONFLICTS = THRESHOLDS.stock_conflicts
OVERSOLD = THRESHOLDS.oversold
AUDIT = THRESHOLDS.invariants

# As the apps declare them; a test compares. An invariant missing here would have no alert when it
# is not audited.
INVARIANTS = (
    "ledger_equals_stock",
    "sold_within_offered",
    "confirmed_sale_is_paid_once",
    "charge_has_payment",
    "payment_has_charge",
    "refunds_within_captured",
    "pending_within_deadline",
)


def happened(counter: str, window: str, most: int, by: str = "") -> str:
    """Return an expression: the counter rose by more than `most` within the window.

    `increase` alone misses what was counted before the first scrape of a new process.
    """
    total = f"sum by ({by}) " if by else "sum"
    return (
        f"{total}(increase({counter}[{window}])) > {most}\n"
        f"or {total}({counter} unless {counter} offset {window}) > {most}"
    )


STOCK_CONFLICT = Alert(
    name="RetailStockConflict",
    expr=happened(
        "retail_stock_conflicts_total", span(CONFLICTS.window_seconds), CONFLICTS.most_conflicts
    ),
    severity="warning",
    service="shop",
    summary="The database had to refuse a checkout that the shop would have let through",
    description="A constraint, the last line of defence, stopped a checkout in the last "
    f"{span(CONFLICTS.window_seconds)}. Nothing was oversold, but a check before it is wrong. "
    "First steps:",
    steps=(
        (
            "docker compose logs --since 20m web worker, lines event=stock.conflict: which "
            "products, which requests?"
        ),
        "docker compose exec web python manage.py audit: do the books still balance?",
        "It began with a deployment: go back to the version before.",
    ),
    dashboard="retail-flash-sale",
    logs=(("var-logger", "retail.orders"), ("var-level", "ERROR")),
)

OVERSOLD_UNITS = Alert(
    name="RetailOversold",
    expr=f"max(max_over_time(retail_oversold_units[{span(OVERSOLD.keep_seconds)}]))"
    f" > {OVERSOLD.most_units}",
    severity="critical",
    service="shop",
    summary="{{ $value }} units were sold that the shop does not have",
    description="By the stock ledger, more was sold than was ever put on sale. This must never "
    "happen: each unit is a customer who will be disappointed. First steps:",
    steps=(
        (
            "docker compose exec web python manage.py audit --invariant sold_within_offered names "
            "the products."
        ),
        "Take them off sale: in the admin, Products, untick active.",
        (
            "docker compose logs --since 1h web worker, lines of these products, and the product's "
            "stock movements in the admin: which came in twice, or is missing?"
        ),
    ),
    dashboard="retail-flash-sale",
    logs=(("var-logger", "retail.audit"), ("var-level", "ERROR")),
)

INVARIANT_VIOLATED = Alert(
    name="RetailInvariantViolated",
    expr="max by (invariant) (max_over_time(retail_invariant_violations"
    f"[{span(AUDIT.keep_seconds)}])) > {AUDIT.most_violations}",
    severity="critical",
    service="shop",
    summary="The audit found {{ $value }} violations of {{ $labels.invariant }}",
    description="The shop's books do not balance: a promise about stock, orders or money is "
    "broken. First steps:",
    steps=(
        (
            "docker compose exec web python manage.py audit --invariant {{ $labels.invariant }} "
            "names the rows; so does the admin, Audit violations."
        ),
        "docker compose logs --since 1h web worker, lines with those ids: what happened to them?",
        (
            "Correct nothing in the database by hand before the cause is known: the ledger is the "
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
    summary="Nobody audits {{ $labels.invariant }}",
    description="The audit runs every minute; a promise that it could not look over for "
    f"{in_words(AUDIT.stale_after_seconds)} has no number, and would be broken in silence. "
    "First steps:",
    steps=(
        (
            "docker compose ps db worker gateway: the worker audits, and asks the gateway about "
            "charges."
        ),
        (
            "docker compose exec web python manage.py audit --invariant {{ $labels.invariant }} "
            "says what is in the way."
        ),
        (
            "docker compose logs --since 20m worker, lines event=audit.failed, "
            "event=audit.not_checked and event=job.failed."
        ),
    ),
    dashboard="retail-jobs",
    logs=(("var-service", "worker"), ("var-logger", "retail.audit")),
)

GROUPS = (Group("retail_stock", (STOCK_CONFLICT, OVERSOLD_UNITS, INVARIANT_VIOLATED, AUDIT_STALE)),)

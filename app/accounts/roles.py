"""Ready-made groups of staff, and what each may do in the admin (docs/security.md)."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.apps import apps as all_apps
from django.db import transaction


class Role(NamedTuple):
    """A group of staff; permissions are `app.model: actions`."""

    name: str
    task: str
    permissions: dict[str, str]


_MONITORING = dict.fromkeys(
    (
        *("retail.metric", "retail.metricrollup", "retail.workerheartbeat"),
        *("retail.auditcheck", "retail.auditviolation", "oncall.alert", "oncall.lostalerts"),
        *("django_q.schedule", "django_q.success", "django_q.failure", "django_q.ormq"),
    ),
    "view",
)
_ORDERS = dict.fromkeys(
    (
        *("orders.sale", "orders.saleitem", "orders.payment"),
        *("returns.return", "returns.returnitem", "returns.refund"),
    ),
    "view",
)

ROLES = (
    Role(
        "support",
        "Helps customers: accounts, orders, returns, e-mails",
        {
            **_ORDERS,
            "orders.sale": "view dispatch",
            "returns.return": "view change",
            "returns.refund": "view change",
            "auth.user": "view change",
            "accounts.userprofile": "view change",
            "cart.cart": "view",
            "cart.cartitem": "view",
            "products.product": "view",
            "retail.email": "view change",
        },
    ),
    Role(
        "merchandiser",
        "Keeps the catalogue, prices and stock",
        {
            "products.category": "view add change",
            "products.product": "view add change",
            "products.stockmovement": "view",
            "products.heldstock": "view",
            "partner_feeds.partner": "view add change",
            "partner_feeds.ingestion": "view decide",
            "partner_feeds.rejectedrow": "view",
        },
    ),
    Role(
        "on-call",
        "Keeps the shop running: monitoring, circuit breaker, e-mails, the security trail",
        {
            **_MONITORING,
            **_ORDERS,
            "payments.circuitbreaker": "view change",
            "products.product": "view change",
            "products.stockmovement": "view",
            "products.heldstock": "view",
            "partner_feeds.partner": "view",
            "partner_feeds.ingestion": "view",
            "partner_feeds.rejectedrow": "view",
            "retail.email": "view change",
            "retail.securityevent": "view",
        },
    ),
    Role(
        "finance",
        "Checks orders, payments, refunds and the audit of money",
        {**_ORDERS, "retail.auditcheck": "view", "retail.auditviolation": "view"},
    ),
)


def table() -> str:
    """Return the table of docs/security.md."""
    rows = ["| group | for | may, in the admin |", "|---|---|---|"]
    for role in ROLES:
        models = [f"{model}: {', '.join(todo.split())}" for model, todo in role.permissions.items()]
        rows.append(f"| {role.name} | {role.task} | {'; '.join(models)} |")
    return "\n".join(rows)


def codes(role: Role) -> set[str]:
    """Return a role's permissions as Django names them, such as `orders.view_sale`."""
    return {
        model.replace(".", f".{action}_")
        for model, actions in role.permissions.items()
        for action in actions.split()
    }


def create_groups(apps: Any = all_apps, using: str = "default", **_signal: Any) -> None:
    """Create the groups, and give each exactly its permissions; other groups are left alone."""
    try:
        Group = apps.get_model("auth", "Group")
        Permission = apps.get_model("auth", "Permission")
    except LookupError:  # not migrated yet
        return
    known = {
        f"{app}.{code}": pk
        for app, code, pk in Permission.objects.using(using).values_list(
            "content_type__app_label", "codename", "pk"
        )
    }
    with transaction.atomic(using=using):
        for role in ROLES:
            group, _ = Group.objects.using(using).get_or_create(name=role.name)
            # A permission whose table is not migrated yet is given by the next `migrate`.
            group.permissions.set([known[code] for code in codes(role) if code in known])

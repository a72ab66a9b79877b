"""A populated shop: users, products and orders, and their values in URLs."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import uuid4

from django.contrib.admin.utils import quote as admin_quote
from django.contrib.auth.models import Group, User
from django.contrib.auth.tokens import default_token_generator
from django.test import Client
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django_q.models import OrmQ, Schedule, Task

from oncall.models import Alert
from orders.fulfilment import sale_dispatch
from orders.services import sale_checkout
from partner_feeds import intake
from partner_feeds.applying import apply_all
from partner_feeds.models import Partner
from partner_feeds.services import push_key_create
from retail.models import Metric, MetricRollup, WorkerHeartbeat
from returns.models import Refund
from returns.refunds import refund_adopt, refund_request
from returns.services import return_request
from tests.support import fill_cart, make_buyer, make_product, order_for

if TYPE_CHECKING:
    from random import Random

    from orders.models import Sale
    from products.models import Category
    from tests.fuzz.routes import Route

SECRET = "7 Nobody Else Lane"  # the delivery address of another customer's order
TOKEN = "fuzzfuzzfuzzfuzzfuzzfuzzfuzzfuzz"  # a CSRF token in a cookie of 32 letters
PASSWORD = "correct-horse-battery"
LOCKED_OUT = "locked"  # a user locked out after failed logins


@dataclass
class World:
    """Session cookies by user, and existing values of URL parameters."""

    sessions: dict[str, str]
    values: dict[str, list[str]]
    own: Sale
    everything: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.everything = sorted({value for values in self.values.values() for value in values})

    def real(self, route: Route, rng: Random) -> dict[str, str]:
        """Return an existing value for each parameter of the route, if its name is known."""
        values = {
            name: rng.choice(self._primary_keys(route) or self.values.get(name, self.everything))
            for name in route.parameters
        }
        if "token" in values:  # user id and token of a reset link must match
            values["uidb64"], values["token"] = self.values["uidb64"][0], self.values["token"][0]
        return values

    @staticmethod
    def _primary_keys(route: Route) -> list[str]:
        if (model := route.model) is None:
            return []
        rows = model._default_manager.order_by("pk").values_list("pk", flat=True)[:5]
        return [admin_quote(str(pk)) for pk in rows]


def _session(client: Client) -> str:
    return client.cookies["sessionid"].value


def _make_operational_rows() -> None:
    now = timezone.now()
    Group.objects.create(name="Clerks")
    WorkerHeartbeat.objects.create(worker="worker.example", seen_at=now)
    for kind in ("error_rate", "orders_per_day"):
        Metric.objects.create(metric_type=kind, value=1, metadata={"count": 2}, timestamp=now)
        MetricRollup.objects.create(
            metric_type=kind, period="hour", start=now, count=1, total=1, minimum=1, maximum=1
        )
    for number, success in enumerate((True, False)):
        Task.objects.create(
            id=f"{number:032x}",
            name=f"task-{number}",
            func="orders.tasks.none",
            started=now,
            stopped=now,
            success=success,
        )
    Alert.objects.create(
        fingerprint="f" * 16,
        name="RetailOversold",
        status=Alert.Status.FIRING,
        origin=Alert.Origin.LOKI,
        **dict.fromkeys(("starts_at", "received_at", "updated_at"), now),
    )
    OrmQ.objects.create(key="vitrine", payload="not signed", lock=now)
    Schedule.objects.create(func="orders.tasks.none", name="none")


def _make_returns(sale: Sale) -> list[str]:
    """Dispatch an order; return its reference, and those of a return and of a failed refund."""
    sale_dispatch(reference=sale.reference, user_id=sale.user_id)
    units = {sale.items.get().pk: 1}
    of_return = return_request(sale=sale, units=units, reason="other", form_key=uuid4())
    refund = refund_request(payment=sale.payments.get(), amount=Decimal("0.50"), reason="goodwill")
    failed = {"status": Refund.Status.FAILED, "failure": Refund.Failure.DISPUTED}
    refund_adopt(refund=refund, **failed)
    return [sale.reference, of_return.reference, refund.reference]


def _make_feeds(category: Category) -> list[str]:
    """Take in files of a partner, of which the last is held; return their references."""
    partner = Partner.objects.create(name="Acme", slug="acme", category=category)
    Partner.objects.create(
        name="Cedar", slug="cedar", category=category, address="https://cedar.example/feed"
    )
    push_key_create(partner, user_id=None)
    rows = b"sku,name,price,stock\nA1,Kettle,%b,5\nA2,Pan,0,1\n"
    Partner.objects.update(most_rejects_ratio=1.0)
    partner.refresh_from_db()
    done = intake.ingest(partner, io.BytesIO(rows % b"24.90"))
    apply_all(done)
    held = intake.ingest(partner, io.BytesIO(rows % b"2490.00"))
    return [done.reference, held.reference]


def make_world() -> World:
    """Populate an empty database. Needs a scripted gateway that approves payments."""
    now = timezone.now()
    lamp, vase = make_product(), make_product("Vase", "0.01", stock=9)
    make_product("Gone", stock=0)
    make_product("Hidden", is_active=False)
    radio = make_product(
        "Radio",
        "50.00",
        flash_price="20.00",
        flash_starts_at=now - timedelta(hours=1),
        flash_ends_at=now + timedelta(hours=9),
    )
    customer, other = make_buyer("customer"), make_buyer("other")
    staff = User.objects.create_superuser("staff", "staff@example.com", PASSWORD)
    User.objects.create_user("clerk", "clerk@example.com", PASSWORD, is_staff=True)
    own = sale_checkout(order=order_for(customer, lamp, 2))
    sale_checkout(order=order_for(customer, radio))
    returns = _make_returns(sale_checkout(order=order_for(customer, lamp, 3)))
    foreign = sale_checkout(order=order_for(other, vase))
    type(foreign).objects.filter(pk=foreign.pk).update(delivery_address=SECRET)
    fill_cart(customer, **{f"p{lamp.pk}": 1, f"p{vase.pk}": 2})
    feeds = _make_feeds(lamp.category)
    _make_operational_rows()
    visitor = Client()
    visitor.post("/cart/add/", {"product_id": lamp.pk, "quantity": 1})
    for _ in range(6):
        Client().post("/accounts/login/", {"username": LOCKED_OUT, "password": "wrong"})
    sessions = {"nobody": "", "visitor": _session(visitor)}
    for name in ("customer", "clerk", "staff"):
        client = Client()
        client.force_login(User.objects.get(username=name), "accounts.backends.AccountBackend")
        sessions[name] = _session(client)
    values = {
        "slug": [lamp.slug, vase.slug, radio.slug, lamp.category.slug, "acme", "cedar"],
        "reference": [own.reference, foreign.reference, own.reference.lower(), *returns, *feeds],
        "uidb64": [urlsafe_base64_encode(force_bytes(user.pk)) for user in (other, staff)],
        "token": [default_token_generator.make_token(other), "set-password"],
        "alert": ["RetailOversold", "RetailTargetDown"],
        "app_label": ["orders", "auth", "products"],
        "url": ["nowhere", "orders/sale"],
        "content_type_id": ["1", "7"],
        "pk": [str(lamp.pk), str(own.pk), str(customer.pk), "1"],
    }
    return World(sessions, values, own)

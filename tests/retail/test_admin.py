"""Every admin page: permissions and refused changes."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.db import models
from django.test import Client
from django_q.models import Schedule

from accounts.models import UserProfile
from cart.models import Cart, CartItem
from oncall.models import Alert, LostAlerts
from orders.models import Payment, Sale, SaleItem
from partner_feeds.models import Partner
from payments.models import CircuitBreaker
from products.models import Category, Product, StockMovement
from retail.models import (
    AuditCheck,
    AuditViolation,
    Email,
    Metric,
    MetricRollup,
    SecurityEvent,
    WorkerHeartbeat,
)
from tests.retail.admin import REGISTERED, ROWS, address, every_model
from tests.support import make_buyer

pytestmark = pytest.mark.django_db

INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|javascript:")
# Models that staff may change; only the shop writes the others.
WRITTEN_BY_STAFF = {User, Group, UserProfile, Category, Product, Partner}
READ_ONLY = {
    *(Sale, SaleItem, Payment, StockMovement, Cart, CartItem, CircuitBreaker),
    *(Metric, MetricRollup, WorkerHeartbeat, Schedule, Alert, LostAlerts),
    *(AuditCheck, AuditViolation, Email, SecurityEvent),
}
READ_ONLY_MODELS = [model for model in REGISTERED if model in READ_ONLY]
every_read_only = pytest.mark.parametrize(
    "model", READ_ONLY_MODELS, ids=lambda model: model._meta.label
)


def pages(model: type[models.Model]) -> dict[str, str]:
    """Create a row and return the addresses of its model's pages."""
    ROWS[model](0)
    row = model._default_manager.order_by("-pk").first()
    assert row is not None
    return {
        "list": address(model, "changelist"),
        "add": address(model, "add"),
        "change": address(model, "change", row.pk),
        "delete": address(model, "delete", row.pk),
    }


def everything(model: type[models.Model]) -> list[dict[str, Any]]:
    return list(model._default_manager.order_by("pk").values())


def test_every_registered_model_is_tested_here() -> None:
    assert set(REGISTERED) == set(ROWS)


@every_model
def test_a_superuser_sees_every_page_and_none_needs_inline_code(
    admin_client: Client, model: type[models.Model]
) -> None:
    addresses = pages(model)
    addable = 200 if model in WRITTEN_BY_STAFF else 403
    for page, status in (("list", 200), ("add", addable), ("change", 200)):
        response = admin_client.get(addresses[page])
        assert response.status_code == status, page
        assert "script-src 'self';" in response.headers["Content-Security-Policy"] + ";"
        if status == 200:
            assert INLINE.findall(response.content.decode()) == [], page


@every_model
def test_visitors_and_customers_are_sent_to_the_login(
    client: Client, model: type[models.Model]
) -> None:
    addresses = pages(model)
    for page in addresses.values():
        response = client.get(page)
        assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={page}")
    client.force_login(make_buyer("customer"))
    for page in addresses.values():
        response = client.get(page)
        assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={page}")


@every_model
def test_staff_without_permission_see_nothing(client: Client, model: type[models.Model]) -> None:
    addresses = pages(model)
    staff = make_buyer("staff")
    staff.is_staff = True
    staff.save()
    client.force_login(staff)
    assert {client.get(page).status_code for page in addresses.values()} == {403}


@every_model
def test_view_permission_allows_nothing_else(client: Client, model: type[models.Model]) -> None:
    addresses = pages(model)
    staff = make_buyer("staff")
    staff.is_staff = True
    staff.save()
    staff.user_permissions.add(Permission.objects.get(codename=f"view_{model._meta.model_name}"))
    client.force_login(staff)
    before = everything(model)
    statuses = {page: client.get(where).status_code for page, where in addresses.items()}
    assert statuses == {"list": 200, "add": 403, "change": 200, "delete": 403}
    for page in ("add", "change", "delete"):
        assert client.post(addresses[page], {"post": "yes"}).status_code == 403
    assert everything(model) == before


@every_read_only
def test_rows_written_by_the_shop_cannot_be_changed(
    admin_client: Client, model: type[models.Model]
) -> None:
    addresses = pages(model)
    before = everything(model)
    row = before[-1]
    form = {name: str(value) for name, value in row.items()}
    for page in ("add", "change", "delete"):
        response = admin_client.post(addresses[page], {**form, "post": "yes"})
        assert response.status_code == 403, page
    assert admin_client.get(addresses["delete"]).status_code == 403
    key = model._meta.pk.attname
    action = {"action": "delete_selected", "_selected_action": row[key], "post": "yes"}
    admin_client.post(addresses["list"], action)
    assert everything(model) == before


def test_audit_progress_is_shown_without_checkpoints(admin_client: Client) -> None:
    sums = {"through": 7, "sums": {"4711": 3}}
    AuditCheck.objects.create(invariant="ledger_equals_stock", checkpoint=sums, violations=17)
    where = address(AuditCheck, "change", "ledger_equals_stock")
    page = admin_client.get(where).content.decode()
    assert "17" in page
    assert "4711" not in page


def test_the_index_shows_the_shop_and_its_groups(admin_client: Client) -> None:
    response = admin_client.get("/admin/")
    text = response.content.decode()
    assert '<a href="/admin/">Vitrine</a>' in text
    assert "<title>Site administration | Vitrine</title>" in text
    shown = {
        app["name"]: {model["object_name"] for model in app["models"]}
        for app in response.context["app_list"]
    }
    assert shown["Authentication and Authorization"] == {"User", "Group"}
    assert shown["Accounts"] == {"UserProfile"}
    assert shown["Products"] == {"Category", "HeldStock", "Product", "StockMovement"}
    assert shown["Orders"] == {"Sale", "SaleItem", "Payment"}
    assert shown["Returns"] == {"Return", "Refund"}
    assert shown["Partner feeds"] == {"Partner", "Ingestion", "RejectedRow"}
    assert shown["Retail (Observability)"] == {
        *("Metric", "MetricRollup", "WorkerHeartbeat", "AuditCheck", "AuditViolation"),
        *("Email", "SecurityEvent"),
    }
    assert settings.SHOP_NAME == "Vitrine"

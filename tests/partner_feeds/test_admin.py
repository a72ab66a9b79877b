"""Partners in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from partner_feeds.models import Partner
from products.models import Category

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db
ADD = "/admin/partner_feeds/partner/add/"


def form(**changes: object) -> dict[str, Any]:
    category = Category.objects.get_or_create(name="Kitchen", slug="kitchen")[0]
    return {
        "name": "Acme",
        "slug": "acme",
        "is_active": "on",
        "format": "csv",
        "mapping": "plain",
        "columns": "{}",
        "decimal_sign": ".",
        "absent": "keep",
        "category": category.pk,
        **changes,
    }


def test_a_partner_is_added_and_keeps_its_slug(admin_client: Client) -> None:
    assert admin_client.post(ADD, form()).status_code == 302
    partner = Partner.objects.get()
    assert (partner.name, partner.slug, partner.columns) == ("Acme", "acme", {})
    change = f"/admin/partner_feeds/partner/{partner.pk}/change/"
    assert admin_client.post(change, form(name="Acme Ltd", slug="other")).status_code == 302
    partner.refresh_from_db()
    assert (partner.name, partner.slug) == ("Acme Ltd", "acme")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("format", "xlsx", "Choose one of csv, json, jsonl, tsv, xml."),
        ("mapping", "x", "Choose one of google, plain, shopify, woocommerce."),
        ("encoding", "latin", "Choose one of utf-8, cp1252, iso-8859-1, iso-8859-15."),
        ("decimal_sign", ";", "Choose one of ., ,."),
        ("columns", '{"colour": "x"}', "Unknown fields: colour."),
        ("columns", '{"sku": 1}', "It must be an object"),
        ("columns", "[1]", "It must be an object"),
        ("delimiter", '"', "delimiter"),
    ],
)
def test_settings_that_no_file_can_be_read_with_are_refused(
    admin_client: Client, field: str, value: str, words: str
) -> None:
    response = admin_client.post(ADD, form(**{field: value}))
    assert response.status_code == 200
    errors = response.context["adminform"].form.errors
    assert words in str(errors.as_data()), errors
    assert not Partner.objects.exists()

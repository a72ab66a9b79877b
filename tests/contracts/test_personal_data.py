"""Every table that stores something of a person is exported and erased."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User

import accounts.personal
import orders.personal
import returns.announcements
from retail import personal_data
from retail.mail.kinds import registered as registered_emails

if TYPE_CHECKING:
    from django.db.models import Field, Model

PAGE = settings.BASE_DIR.parent / "docs" / "personal-data.md"
# Names of fields with something of a person, also without a relation to their account.
PERSONAL = re.compile(
    r"user(_id)?|username|(first|last|full|delivery|given)_name|.*e_?mail.*|.*phone.*|.*address.*|"
    r"client|visitor|recipient|token|context|metadata|birth.*|gender|iban|card.*|vat.*|ip|.*_by"
)
# What has such a field, and why it stores nothing of a customer.
NOT_OF_CUSTOMERS = {
    "partner_feeds.Partner": "address: of a file; partners are companies",
    "partner_feeds.PushKey": "created_by: staff",
    "partner_feeds.Ingestion": "started_by, applied_by: staff",
    **dict.fromkeys(
        (
            f"partner_feeds.{name}"
            for name in ("FilePart", "StagedRow", "RejectedRow", "AppliedChange")
        ),
        "belongs to an ingestion, which has products and no persons",
    ),
    "payments.CircuitBreaker": "forced_by: the member of staff who forced it",
}


def is_personal(field: Field) -> bool:  # type: ignore[type-arg]
    """Return whether the field's relation or its name says that it is about a person."""
    return field.related_model is User or PERSONAL.fullmatch(field.name) is not None


def belongs_to(model: type[Model], found: set[type[Model]]) -> bool:
    """Return whether rows of the model belong to rows of these others."""
    return any(
        field.related_model in found and (field.many_to_one or field.one_to_one)
        for field in model._meta.concrete_fields
    )


def personal_models() -> set[str]:
    """Return the labels of all models about persons, or that belong to such a model."""
    models = {model for model in apps.get_models() if not model._meta.proxy}
    found = {model for model in models if any(map(is_personal, model._meta.concrete_fields))}
    found.add(User)
    while more := {model for model in models - found if belongs_to(model, found)}:
        found |= more
    return {model._meta.label for model in found}


def registered() -> set[str]:
    return {label for data in personal_data.registered.values() for label in data.models}


def test_every_table_about_persons_is_registered() -> None:
    found = personal_models()
    assert {"orders.Payment", "accounts.UserProfile", "accounts.Session", "retail.Email"} <= found
    assert found - registered() == set(NOT_OF_CUSTOMERS)


@pytest.mark.parametrize("section", ["orders", "cart", "profile", "security_events"])
def test_a_table_that_nobody_registers_is_found(
    section: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {name: data for name, data in personal_data.registered.items() if name != section}
    monkeypatch.setattr(personal_data, "registered", others)
    assert personal_models() - registered() > set(NOT_OF_CUSTOMERS)


def test_only_tables_that_exist_are_registered() -> None:
    assert registered() <= {model._meta.label for model in apps.get_models()}


def test_every_kind_of_email_is_exported_and_erased_by_its_app() -> None:
    kept = [*accounts.personal.KINDS, *orders.personal.KINDS, *returns.announcements.KINDS]
    assert len(kept) == len(set(kept))
    ours = {
        name for name, kind in registered_emails.items() if "tests" not in kind.compose.__module__
    }
    assert ours == set(kept)


def test_the_page_lists_what_is_stored() -> None:
    assert personal_data.table() in PAGE.read_text("utf-8")

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from accounts.checks import default_password
from retail.startup import refuse_errors

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _production(settings: Settings) -> None:
    settings.DEBUG = False


def make_user(name: str, password: str, **fields: bool) -> None:
    user = User(username=name, **fields)
    user.set_password(password)
    user.save()


def test_staff_with_the_default_password_are_reported_by_name() -> None:
    make_user("boss", "admin123", is_staff=True)
    [error] = default_password(databases=["default"])
    assert (error.id, error.msg) == (
        "accounts.E001",
        "Staff account 'boss' still has the default admin password.",
    )
    with pytest.raises(ImproperlyConfigured, match="create_admin --username boss --password"):
        refuse_errors()


def test_customers_inactive_staff_and_changed_passwords_pass(settings: Settings) -> None:
    make_user("customer", "admin123")
    make_user("gone", "admin123", is_staff=True, is_active=False)
    make_user("careful", "correct-horse-battery", is_staff=True)
    assert default_password(databases=["default"]) == []
    refuse_errors()


def test_the_default_password_is_allowed_in_development(settings: Settings) -> None:
    settings.DEBUG = True
    make_user("boss", "admin123", is_staff=True)
    refuse_errors()


def test_without_a_database_nothing_is_checked() -> None:
    make_user("boss", "admin123", is_staff=True)
    assert default_password(databases=None) == []

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from accounts.checks import default_password, refuse_default_password

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _production(settings: Settings) -> None:
    settings.DEBUG = False


def make(name: str, password: str, **facts: bool) -> None:
    user = User(username=name, **facts)
    user.set_password(password)
    user.save()


def test_staff_with_the_default_password_is_refused_by_name() -> None:
    make("boss", "admin123", is_staff=True)
    [error] = default_password(databases=["default"])
    assert (error.id, error.msg) == (
        "accounts.E001",
        "The default admin password still opens the account 'boss'.",
    )
    with pytest.raises(ImproperlyConfigured, match="create_admin --username boss --password"):
        refuse_default_password()


def test_others_are_no_concern(settings: Settings) -> None:
    make("customer", "admin123")
    make("gone", "admin123", is_staff=True, is_active=False)
    make("careful", "correct-horse-battery", is_staff=True)
    assert default_password(databases=["default"]) == []
    refuse_default_password()


def test_in_development_it_is_allowed(settings: Settings) -> None:
    settings.DEBUG = True
    make("boss", "admin123", is_staff=True)
    refuse_default_password()


def test_without_a_database_to_look_into_nothing_is_said() -> None:
    make("boss", "admin123", is_staff=True)
    assert default_password(databases=None) == []

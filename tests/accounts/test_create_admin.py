"""create_admin works as the guide says, and refuses weak passwords with DEBUG off."""

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.addresses import verified_address
from tests.support import make_buyer

pytestmark = pytest.mark.django_db

STRONG = "correct-horse-battery"


def create(*arguments: str) -> str:
    out = StringIO()
    call_command("create_admin", *arguments, stdout=out)
    return out.getvalue()


def admin(username: str = "admin") -> User:
    user = User.objects.get(username=username)
    assert (user.is_staff, user.is_superuser, user.is_active) == (True, True, True)
    return user


@pytest.fixture
def production(settings: Settings) -> None:
    settings.DEBUG = False


@pytest.fixture
def development(settings: Settings) -> None:
    settings.DEBUG = True


def test_in_development_it_creates_the_guides_admin(development: None) -> None:
    assert create() == "Admin admin created.\n"
    assert verified_address(admin()) == "admin@example.com"
    assert admin().check_password("admin123")


def test_the_options_set_username_email_and_password(development: None) -> None:
    output = create(
        "--username", "myadmin", "--email", "myadmin@example.com", "--password", "mypassword123"
    )
    assert output == "Admin myadmin created.\n"
    assert admin("myadmin").email == "myadmin@example.com"
    assert admin("myadmin").check_password("mypassword123")
    assert User.objects.count() == 1


def test_an_address_of_another_account_is_not_taken_from_it(development: None) -> None:
    buyer = make_buyer()
    output = create("--email", "Buyer@example.com")
    assert "Buyer@example.com belongs to another account: it must be confirmed." in output
    assert (verified_address(admin()), verified_address(buyer)) == (None, "buyer@example.com")


def test_running_it_again_changes_neither_admin_nor_password(development: None) -> None:
    create()
    user = admin()
    user.set_password(STRONG)
    user.save()
    before = User.objects.values().get()
    assert create() == "Admin admin already exists; password unchanged.\n"
    assert User.objects.values().get() == before


def test_a_given_password_is_set_on_an_existing_admin(development: None) -> None:
    create()
    assert create("--password", STRONG) == "Admin admin updated.\n"
    assert admin().check_password(STRONG)
    assert User.objects.count() == 1


def test_an_existing_customer_becomes_admin_and_keeps_the_password(development: None) -> None:
    User.objects.create_user("admin", "bea@example.com", STRONG, is_active=False)
    assert create() == "Admin admin updated.\n"
    assert admin().check_password(STRONG)
    assert admin().email == "bea@example.com"


@pytest.mark.parametrize("arguments", [(), ("--password", "admin123")])
def test_outside_development_the_default_password_is_refused(
    production: None, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(CommandError, match="choose your own admin password with --password"):
        create(*arguments)
    assert User.objects.count() == 0


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("short1", "too short"),
        ("password123", "too common"),
        ("1029384756", "entirely numeric"),
        ("administratrix", "too similar to the username"),
    ],
)
def test_outside_development_a_weak_password_is_refused(
    production: None, password: str, message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        create("--username", "administratri", "--password", password)
    assert User.objects.count() == 0


def test_outside_development_a_strong_password_is_accepted(production: None) -> None:
    assert create("--password", STRONG) == "Admin admin created.\n"
    assert admin().check_password(STRONG)


def test_outside_development_a_weak_password_never_replaces_a_strong_one(
    production: None,
) -> None:
    create("--password", STRONG)
    with pytest.raises(CommandError):
        create("--password", "12345678")
    assert admin().check_password(STRONG)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--username", "two words"), "username: Enter a valid username"),
        (("--username", "x" * 151), "username: Ensure this value has at most 150"),
        (("--email", "nowhere"), "email: Enter a valid email address"),
    ],
)
def test_an_invalid_username_or_email_is_refused_with_the_reason(
    development: None, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        create(*arguments)
    assert User.objects.count() == 0

"""create_admin, as the guide has it, and no weaker than it must be."""

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django import Settings

pytestmark = pytest.mark.django_db

GOOD = "correct-horse-battery"


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


def test_in_development_it_makes_the_guides_admin(development: None) -> None:
    assert create() == "Admin admin made.\n"
    assert admin().email == "admin@example.com"
    assert admin().check_password("admin123")


def test_it_makes_the_admin_that_is_asked_for(development: None) -> None:
    said = create(
        "--username", "myadmin", "--email", "myadmin@example.com", "--password", "mypassword123"
    )
    assert said == "Admin myadmin made.\n"
    assert admin("myadmin").email == "myadmin@example.com"
    assert admin("myadmin").check_password("mypassword123")
    assert User.objects.count() == 1


def test_repeating_it_leaves_the_admin_and_the_password_alone(development: None) -> None:
    create()
    user = admin()
    user.set_password(GOOD)
    user.save()
    before = User.objects.values().get()
    assert create() == "Admin admin is there already; its password is unchanged.\n"
    assert User.objects.values().get() == before


def test_a_password_that_is_given_is_set_on_an_admin_who_is_there(development: None) -> None:
    create()
    assert create("--password", GOOD) == "Admin admin updated.\n"
    assert admin().check_password(GOOD)
    assert User.objects.count() == 1


def test_a_customer_of_that_name_becomes_admin_and_keeps_the_password(development: None) -> None:
    User.objects.create_user("admin", "bea@example.com", GOOD, is_active=False)
    assert create() == "Admin admin updated.\n"
    assert admin().check_password(GOOD)
    assert admin().email == "bea@example.com"


@pytest.mark.parametrize("arguments", [(), ("--password", "admin123")])
def test_outside_development_the_default_password_is_refused(
    production: None, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(CommandError, match="give the admin a --password of its own"):
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


def test_outside_development_a_good_password_is_taken(production: None) -> None:
    assert create("--password", GOOD) == "Admin admin made.\n"
    assert admin().check_password(GOOD)


def test_outside_development_a_weak_password_does_not_replace_a_good_one(production: None) -> None:
    create("--password", GOOD)
    with pytest.raises(CommandError):
        create("--password", "12345678")
    assert admin().check_password(GOOD)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--username", "two words"), "username: Enter a valid username"),
        (("--username", "x" * 151), "username: Ensure this value has at most 150"),
        (("--email", "nowhere"), "email: Enter a valid email address"),
    ],
)
def test_a_name_or_address_that_is_none_is_refused_in_a_sentence(
    development: None, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        create(*arguments)
    assert User.objects.count() == 0

"""Which passwords are refused: common ones, the shop's own words, and short ones of staff."""

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client
from pytest_django import Settings

OWN_WORD = "password_own_word"
FOR_STAFF = "password_too_short_for_staff"


def refused(password: str, **fields: bool) -> set[str]:
    """Return the codes of the rules that a user's password breaks."""
    try:
        validate_password(password, User(username="bea", **fields))
    except ValidationError as error:
        return {str(one.code) for one in error.error_list}
    return set()


@pytest.mark.parametrize(
    "password",
    [
        *("vitrine12345", "VITRINE-2026", "myvitrine!", "v1tr1n3-1234", "shop-shop-shop"),
        *("mypassword123", "p@ssw0rd-xyz", "adminadmin12", "4dm1n1str4t0r", "welcome2shop"),
        *("customer-2026", "root-2026-x", "qwerty-admin-user"),
    ],
)
def test_little_more_than_an_own_word_is_refused(password: str) -> None:
    assert OWN_WORD in refused(password)


@pytest.mark.parametrize(
    "password",
    [
        *("correct-horse-battery", "a lantern in the rain", "vitrine lantern in the rain"),
        *("x7-lantern", "shopkeeper lantern", "12z-lantern"),
    ],
)
def test_other_passwords_are_accepted(password: str) -> None:
    assert refused(password) == set()


def test_the_name_of_the_shop_is_a_word(settings: Settings) -> None:
    assert refused("lantern-house-9") == set()
    settings.SHOP_NAME = "Lantern House"
    assert refused("lantern-house-9") == {OWN_WORD}


@pytest.mark.parametrize("password", ["password", "iloveyou", "football"])
def test_common_passwords_are_refused(password: str) -> None:
    assert "password_too_common" in refused(password)


@pytest.mark.parametrize(
    ("fields", "length", "codes"),
    [
        ({}, 8, set()),
        ({}, 7, {"password_too_short"}),
        ({"is_staff": True}, 12, set()),
        ({"is_staff": True}, 11, {FOR_STAFF}),
        ({"is_superuser": True}, 11, {FOR_STAFF}),
    ],
)
def test_staff_need_longer_ones(fields: dict[str, bool], length: int, codes: set[str]) -> None:
    assert refused("x7-lantern-zq"[:length], **fields) == codes


@pytest.mark.django_db
def test_the_rules_hold_when_somebody_registers(client: Client) -> None:
    form = {
        "username": "bea",
        "email": "",
        **dict.fromkeys(("password1", "password2"), "vitrine99"),
    }
    page = client.post("/accounts/register/", form)
    assert "others try first at this shop" in page.content.decode()
    assert not User.objects.exists()

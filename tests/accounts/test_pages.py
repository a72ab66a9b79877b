"""Registration, login, logout and profile, without open redirects."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.models import UserProfile
from accounts.services import profile_get, profile_save_delivery
from tests.support import make_buyer

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-battery"
NEW = {"username": "bea", "email": "", "password1": PASSWORD, "password2": PASSWORD}
UNSAFE_URLS = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example",
    "http:evil.example",
    "/\\evil.example",
    "javascript:alert(1)",
    " https://evil.example/",
    "",
]


def logged_in_as(client: Client) -> str | None:
    user_id = client.session.get("_auth_user_id")
    return None if user_id is None else User.objects.get(pk=user_id).username


def session_key(client: Client) -> str:
    return client.cookies["sessionid"].value


@pytest.fixture
def visitor(client: Client) -> Client:
    """A visitor who already has a session."""
    session = client.session
    session["chosen"] = "a lamp"
    session.save()
    return client


def test_registering_creates_an_account_and_logs_in(client: Client) -> None:
    assert client.get("/accounts/register/").status_code == 200
    response = client.post("/accounts/register/", {**NEW, "email": "bea@example.com"})
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert logged_in_as(client) == "bea"
    user = User.objects.get()
    assert user.email == "bea@example.com"
    assert user.check_password(PASSWORD)
    assert not user.is_staff
    assert "Welcome, bea." in client.get("/").content.decode()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"username": ""}, "This field is required."),
        ({"username": "taken"}, "A user with that username already exists."),
        ({"username": "TAKEN"}, "A user with that username already exists."),
        ({"username": "two words"}, "Enter a valid username."),
        ({"email": "nowhere"}, "Enter a valid email address."),
        ({"password2": "another"}, "The two password fields didn"),
        ({"password1": "12345678", "password2": "12345678"}, "This password is too common."),
    ],
)
def test_an_invalid_registration_is_shown_again_with_400(
    client: Client, wrong: dict[str, str], message: str
) -> None:
    make_buyer("taken")
    response = client.post("/accounts/register/", {**NEW, **wrong})
    assert response.status_code == 400
    assert message in response.content.decode()
    assert User.objects.count() == 1
    assert logged_in_as(client) is None


def test_registration_never_creates_staff(client: Client) -> None:
    client.post("/accounts/register/", {**NEW, "is_staff": "on", "is_superuser": "on"})
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser) == (False, False)


def test_a_customer_logs_in_and_out(client: Client) -> None:
    make_buyer("bea")
    assert client.get("/accounts/login/").status_code == 200
    response = client.post("/accounts/login/", {"username": "bea", "password": PASSWORD})
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert logged_in_as(client) == "bea"
    assert client.get("/accounts/logout/").status_code == 405
    response = client.post("/accounts/logout/")
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert logged_in_as(client) is None


@pytest.mark.parametrize(
    "wrong", [{"password": "wrong"}, {"username": "nobody"}, {"username": ""}, {"password": ""}]
)
def test_a_failed_login_is_400_and_does_not_say_which_part_was_wrong(
    client: Client, wrong: dict[str, str]
) -> None:
    make_buyer("bea")
    response = client.post("/accounts/login/", {"username": "bea", "password": PASSWORD, **wrong})
    assert response.status_code == 400
    assert logged_in_as(client) is None
    if "" not in wrong.values():
        assert "Please enter a correct username and password." in response.content.decode()


def test_login_changes_the_session_key_and_keeps_its_data(visitor: Client) -> None:
    make_buyer("bea")
    before = session_key(visitor)
    visitor.post("/accounts/login/", {"username": "bea", "password": PASSWORD})
    assert session_key(visitor) != before
    assert visitor.session["chosen"] == "a lamp"
    assert not type(visitor.session)().exists(before)


def test_registering_changes_the_session_key(visitor: Client) -> None:
    before = session_key(visitor)
    visitor.post("/accounts/register/", NEW)
    assert logged_in_as(visitor) == "bea"
    assert session_key(visitor) != before
    assert not type(visitor.session)().exists(before)


def test_logout_deletes_the_session(visitor: Client) -> None:
    visitor.force_login(make_buyer("bea"))
    before = session_key(visitor)
    visitor.post("/accounts/logout/")
    assert not type(visitor.session)().exists(before)
    assert "chosen" not in visitor.session


FORMS = [
    ("/accounts/login/", {"username": "bea", "password": PASSWORD}),
    ("/accounts/register/", {**NEW, "username": "new"}),
]


@pytest.mark.parametrize(("address", "form"), FORMS)
def test_the_visitor_continues_to_the_next_page(
    client: Client, address: str, form: dict[str, str]
) -> None:
    make_buyer("bea")
    page = client.get(address, {"next": "/checkout/"}).content.decode()
    assert '<input type="hidden" name="next" value="/checkout/">' in page
    response = client.post(address, {**form, "next": "/checkout/"})
    assert (response.status_code, response.headers["Location"]) == (302, "/checkout/")


@pytest.mark.parametrize(("address", "form"), FORMS)
@pytest.mark.parametrize("unsafe_url", UNSAFE_URLS)
def test_redirects_stay_on_this_site(
    client: Client, address: str, form: dict[str, str], unsafe_url: str
) -> None:
    make_buyer("bea")
    response = client.post(address, {**form, "next": unsafe_url})
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    again = client.get(address, {"next": unsafe_url})
    assert (again.status_code, again.headers["Location"]) == (302, "/")
    client.logout()
    response = client.post("/accounts/logout/", {"next": unsafe_url})
    assert response.headers["Location"] == "/"


def test_the_profile_requires_a_login(client: Client) -> None:
    response = client.get("/accounts/profile/")
    assert response.status_code == 302
    assert response.headers["Location"] == "/accounts/login/?next=/accounts/profile/"


def test_customers_see_and_change_only_their_own_profile(client: Client) -> None:
    bea, other = make_buyer("bea"), make_buyer("other")
    profile_save_delivery(user_id=other.pk, full_name="Other", address="Elsewhere 1")
    client.force_login(bea)
    assert client.get("/accounts/profile/").status_code == 200
    form = {"full_name": "Bea", "phone": "123", "address": "Here 1", "user": other.pk}
    response = client.post("/accounts/profile/", form)
    assert (response.status_code, response.headers["Location"]) == (302, "/accounts/profile/")
    assert list(
        UserProfile.objects.order_by("full_name").values_list("user_id", "full_name", "address")
    ) == [(bea.pk, "Bea", "Here 1"), (other.pk, "Other", "Elsewhere 1")]
    page = client.get("/accounts/profile/").content.decode()
    assert "Changes saved." in page
    assert "Elsewhere" not in page


@pytest.mark.parametrize(
    "wrong", [{"phone": "1" * 31}, {"full_name": "x" * 121}, {"address": "x" * 501}]
)
def test_a_value_that_is_too_long_is_shown_again_with_400(
    client: Client, wrong: dict[str, str]
) -> None:
    bea = make_buyer("bea")
    client.force_login(bea)
    form = {"full_name": "Bea", "phone": "1", "address": "Here 1", **wrong}
    assert client.post("/accounts/profile/", form).status_code == 400
    assert profile_get(user_id=bea.pk).full_name == ""


def test_delivery_details_are_saved_only_where_the_profile_is_empty() -> None:
    bea = make_buyer("bea")
    profile_save_delivery(user_id=bea.pk, full_name="Bea", address="")
    profile_save_delivery(user_id=bea.pk, full_name="Gift for Ada", address="There 2")
    profile = profile_get(user_id=bea.pk)
    assert (profile.full_name, profile.address) == ("Bea", "There 2")
    assert str(profile) == f"Profile of user {bea.pk}"

"""Users in the admin: profiles inline, and users with orders cannot be deleted."""

import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.models import UserProfile
from cart.models import Cart, CartItem
from orders.models import Sale
from tests.support import fill_cart, make_buyer, make_product

pytestmark = pytest.mark.django_db


def user_form(user: User, **others: str) -> dict[str, str]:
    """Return the form data of a user's change page."""
    profile = UserProfile.objects.filter(user=user).first()
    return {
        "username": user.username,
        "email": user.email,
        "is_active": "on",
        "date_joined_0": "22/11/2026",
        "date_joined_1": "12:00:00",
        "profile-TOTAL_FORMS": "1",
        "profile-INITIAL_FORMS": "1" if profile else "0",
        "profile-0-id": str(profile.pk) if profile else "",
        "profile-0-user": str(user.pk),
        "profile-0-full_name": "",
        **others,
    }


def test_the_profile_is_edited_on_the_users_page(admin_client: Client) -> None:
    bea = make_buyer("bea")
    page = f"/admin/auth/user/{bea.pk}/change/"
    form = {"profile-0-full_name": "Bea Buyer", "profile-0-phone": "123"}
    assert admin_client.post(page, user_form(bea, **form)).status_code == 302
    profile = UserProfile.objects.get()
    assert (profile.user, profile.full_name, profile.phone) == (bea, "Bea Buyer", "123")
    assert 'value="Bea Buyer"' in admin_client.get(page).content.decode()
    form = {"first_name": "Bea", "profile-0-full_name": "Bea B. Buyer"}
    assert admin_client.post(page, user_form(bea, **form)).status_code == 302
    bea.refresh_from_db()
    assert (bea.first_name, UserProfile.objects.get().full_name) == ("Bea", "Bea B. Buyer")


def test_saving_a_user_without_a_profile_creates_none(admin_client: Client) -> None:
    bea = make_buyer("bea")
    response = admin_client.post(f"/admin/auth/user/{bea.pk}/change/", user_form(bea))
    assert response.status_code == 302
    assert not UserProfile.objects.exists()


def test_a_new_user_needs_only_a_username_and_a_password(admin_client: Client) -> None:
    assert "Full name" not in admin_client.get("/admin/auth/user/add/").content.decode()
    new = {
        "username": "carl",
        "usable_password": "true",
        "password1": "correct-horse-battery",
        "password2": "correct-horse-battery",
    }
    assert admin_client.post("/admin/auth/user/add/", new).status_code == 302
    carl = User.objects.get(username="carl")
    assert carl.check_password("correct-horse-battery")
    assert (carl.is_staff, carl.is_superuser) == (False, False)


def test_a_user_is_deleted_with_cart_and_profile(admin_client: Client) -> None:
    bea = make_buyer("bea")
    UserProfile.objects.create(user=bea)
    lamp = make_product()
    fill_cart(bea, **{f"p{lamp.pk}": 1})
    response = admin_client.post(f"/admin/auth/user/{bea.pk}/delete/", {"post": "yes"})
    assert response.status_code == 302
    assert [
        User.objects.filter(username="bea").exists(),
        UserProfile.objects.exists(),
        Cart.objects.exists(),
        CartItem.objects.exists(),
    ] == [False] * 4
    lamp.refresh_from_db()
    assert lamp.stock == 10


def test_a_user_with_orders_cannot_be_deleted(admin_client: Client) -> None:
    bea = make_buyer("bea")
    Sale.objects.create(
        user=bea,
        total=10,
        currency="EUR",
        idempotency_key=uuid.uuid4(),
        delivery_name="Bea Buyer",
        delivery_address="1 Example Street",
    )
    response = admin_client.post(f"/admin/auth/user/{bea.pk}/delete/", {"post": "yes"})
    assert "Cannot delete user" in response.content.decode()
    assert User.objects.filter(username="bea").exists()
    assert Sale.objects.count() == 1


def test_profiles_are_found_by_name_and_user(admin_client: Client) -> None:
    for name in ("bea", "carl"):
        UserProfile.objects.create(user=make_buyer(name), full_name=f"{name.title()} Buyer")
    for query, expected in (("bea", ["bea"]), ("Carl Buyer", ["carl"]), ("dora", [])):
        response = admin_client.get("/admin/accounts/userprofile/", {"q": query})
        usernames = [profile.user.username for profile in response.context["cl"].result_list]
        assert usernames == expected, query

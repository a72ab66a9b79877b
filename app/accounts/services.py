"""Create accounts; read and update customer profiles."""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from accounts.models import UserProfile


def customer_register(*, username: str, email: str, password: str) -> User | None:
    """Return the new account, or None if somebody else has just taken the username.

    A form that is sent twice at once creates one account, and both requests get it.
    """
    try:
        with transaction.atomic():
            return User.objects.create_user(username, email, password)
    except IntegrityError:
        user = User.objects.get(username=username)
        return user if user.check_password(password) else None


def profile_get(*, user_id: int) -> UserProfile:
    """Return the user's profile, or an unsaved empty one."""
    profile = UserProfile.objects.filter(user_id=user_id).first()
    return profile or UserProfile(user_id=user_id)


def profile_save(*, user_id: int, full_name: str, phone: str, address: str) -> None:
    """Save the user's profile, which a concurrent request may create at the same time."""
    details = {"full_name": full_name, "phone": phone, "address": address}
    UserProfile.objects.update_or_create(user_id=user_id, defaults=details)


def profile_save_delivery(*, user_id: int, full_name: str, address: str) -> None:
    """Save an order's name and address to the profile where these are still empty."""
    profile, _ = UserProfile.objects.get_or_create(user_id=user_id)
    if not (profile.full_name and profile.address):
        UserProfile.objects.filter(pk=profile.pk).update(
            full_name=profile.full_name or full_name, address=profile.address or address
        )

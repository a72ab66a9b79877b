"""Read and update customer profiles."""

from collections.abc import Callable, Collection

from django.contrib.auth.models import User
from django.db import transaction

from accounts.models import UserProfile

# Lock what other apps keep of these users, in the order of docs/checkout.md.
locks_before_deletion: list[Callable[[Collection[int]], None]] = []


def users_lock(*, ids: Collection[int]) -> None:
    """Lock users and what is deleted with them until the transaction ends."""
    for lock in locks_before_deletion:
        lock(ids)
    list(User.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))


def profile_get(*, user_id: int) -> UserProfile:
    """Return the user's profile, or an unsaved empty one."""
    profile = UserProfile.objects.filter(user_id=user_id).first()
    return profile or UserProfile(user_id=user_id)


@transaction.atomic
def profile_lock(*, user_id: int) -> UserProfile:
    """Return the user's profile, created if missing and locked until the transaction ends."""
    UserProfile.objects.get_or_create(user_id=user_id)
    return UserProfile.objects.select_for_update().get(user_id=user_id)


def profile_save_delivery(*, user_id: int, full_name: str, address: str) -> None:
    """Save an order's name and address to the profile where these are still empty."""
    profile, _ = UserProfile.objects.get_or_create(user_id=user_id)
    if not (profile.full_name and profile.address):
        UserProfile.objects.filter(pk=profile.pk).update(
            full_name=profile.full_name or full_name, address=profile.address or address
        )

"""Create accounts; read and update customer profiles; show notices once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from accounts.models import Notice, UserProfile

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

# Lock what other apps keep of these users, in the order of docs/checkout.md.
locks_before_deletion: list[Callable[[Collection[int]], None]] = []


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


def users_lock(*, ids: Collection[int]) -> None:
    """Lock users, after what other apps lock for their deletion, until the transaction ends."""
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


@transaction.atomic
def profile_save_delivery(*, user_id: int, full_name: str, address: str) -> None:
    """Save an order's name and address to the profile where these are still empty."""
    profile = profile_lock(user_id=user_id)
    if not (profile.full_name and profile.address):
        # Not of an account that was erased meanwhile.
        UserProfile.objects.filter(pk=profile.pk, user__is_active=True).update(
            full_name=profile.full_name or full_name, address=profile.address or address
        )


def notice_add(*, user_id: int, is_good: bool, text: str, link: str) -> None:
    """Show a text on the next page that the user sees. It replaces an unseen one with its link."""
    notice = Notice(user_id=user_id, is_good=is_good, text=text, link=link)
    Notice.objects.bulk_create(
        [notice],
        update_conflicts=True,
        unique_fields=["user", "link"],
        update_fields=["is_good", "text", "created_at"],
    )


def has_notices(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether the user had notices when the session was read. Needs no query."""
    return getattr(user, "has_notices", False)


def notices_take(*, user: AbstractBaseUser | AnonymousUser) -> list[Notice]:
    """Return the user's notices, the oldest first, and delete them."""
    if not has_notices(user):
        return []
    notices = list(Notice.objects.filter(user=user.pk).order_by("pk"))
    Notice.objects.filter(pk__in=[notice.pk for notice in notices]).delete()
    return notices


def notice_drop(*, user: AbstractBaseUser | AnonymousUser, link: str) -> None:
    """Delete the user's notice with this link: its page has been seen."""
    if has_notices(user):
        Notice.objects.filter(user=user.pk, link=link).delete()

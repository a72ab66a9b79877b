"""What changes customers' profiles."""

from accounts.models import UserProfile


def profile_get(*, user_id: int) -> UserProfile:
    """Return the user's profile, made empty at first use."""
    return UserProfile.objects.get_or_create(user_id=user_id)[0]


def profile_remember(*, user_id: int, full_name: str, address: str) -> None:
    """Keep a delivery's name and address for next time, where the profile has none yet."""
    profile = profile_get(user_id=user_id)
    UserProfile.objects.filter(pk=profile.pk).update(
        full_name=profile.full_name or full_name, address=profile.address or address
    )

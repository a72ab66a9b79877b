"""What changes customers' profiles."""

from accounts.models import UserProfile


def profile_get(*, user_id: int) -> UserProfile:
    """Return the user's profile; an empty one, not yet saved, if there is none."""
    found = UserProfile.objects.filter(user_id=user_id).first()
    return found or UserProfile(user_id=user_id)


def profile_remember(*, user_id: int, full_name: str, address: str) -> None:
    """Keep a delivery's name and address for next time, where the profile has none yet."""
    profile, _ = UserProfile.objects.get_or_create(user_id=user_id)
    if not (profile.full_name and profile.address):
        UserProfile.objects.filter(pk=profile.pk).update(
            full_name=profile.full_name or full_name, address=profile.address or address
        )

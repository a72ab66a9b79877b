"""What the shop knows of a customer beside the login."""

from django.conf import settings
from django.db import models


class UserProfile(models.Model):
    """Where things go."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="profile"
    )
    full_name = models.CharField(max_length=120, blank=True)
    phone = models.CharField(max_length=30, blank=True)
    address = models.TextField(max_length=500, blank=True)

    def __str__(self) -> str:
        return f"Profile of user {self.user_id}"

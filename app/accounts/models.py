"""Customer profiles, e-mail addresses, notices and sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils import timezone
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from django.contrib.sessions.backends.base import SessionBase


class UserProfile(models.Model):
    """A customer's delivery details."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="profile"
    )
    full_name = models.CharField(max_length=120, blank=True)
    phone = models.CharField(max_length=30, blank=True)
    address = models.TextField(max_length=500, blank=True)

    def __str__(self) -> str:
        return f"Profile of user {self.user_id}"


class Notice(models.Model):
    """What a customer learns about an order on the next page they see. It is shown once."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices"
    )
    is_good = models.BooleanField()
    text = models.CharField(max_length=300)
    link = models.CharField(max_length=200, help_text="path of the order's page")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "link"], name="latest_notice_of_a_page"),
        ]

    def __str__(self) -> str:
        return f"Notice for user {self.user_id}"


class EmailAddress(models.Model):
    """Which address of an account is verified, and which waits for its link to be opened.

    The account's own, `User.email`, is verified if `verified` is its normalised form.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="email_address"
    )
    verified = models.CharField(  # noqa: DJ001 - unique, and several accounts may have none
        max_length=254, unique=True, null=True, help_text="normalised (accounts.addresses)"
    )
    verified_at = models.DateTimeField(null=True)
    pending = models.EmailField(blank=True, help_text="waits for its link to be opened")
    pending_since = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"E-mail address of user {self.user_id}"


class Session(AbstractBaseSession):
    """A visitor's session, with its account's id so that both are read together (`sessions.py`)."""

    # No foreign key: a user deleted while logged in becomes an anonymous visitor.
    user_id = models.BigIntegerField(null=True, editable=False)

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        """Return SESSION_ENGINE's store. Imported late because the store imports this model."""
        store: type[SessionBase] = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
        return store

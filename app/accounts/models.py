"""Customer profiles, e-mail addresses, notices, sessions, passkeys and recovery codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils import timezone
from django.utils.module_loading import import_string
from django_otp.models import Device, ThrottlingMixin

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

    session_key = models.CharField(max_length=64, primary_key=True, help_text="hash of the key")
    # No foreign key: a user deleted while logged in becomes an anonymous visitor.
    user_id = models.BigIntegerField(null=True, editable=False, db_index=True)
    started_at = models.DateTimeField(default=timezone.now, help_text="when the user logged in")
    seen_at = models.DateTimeField(default=timezone.now)
    client = models.CharField(max_length=45, blank=True, help_text="IP address")
    browser = models.CharField(max_length=60, blank=True)

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        """Return SESSION_ENGINE's store. Imported late because the store imports this model."""
        store: type[SessionBase] = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
        return store


class Passkey(models.Model):
    """A key pair of a user's device; the shop has the public half."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="passkeys"
    )
    name = models.CharField(max_length=60, help_text="given by the user")
    credential_id = models.CharField(max_length=1400, unique=True, help_text="base64url")
    public_key = models.TextField(help_text="COSE, base64url")
    sign_count = models.PositiveBigIntegerField(help_text="what the device has counted last")
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Passkey of user {self.user_id}"


class RecoveryCodes(ThrottlingMixin, Device):  # type: ignore[misc]  # the library has no types
    """What is left of a user's recovery codes; each stands in for the second factor once."""

    hashes = models.JSONField(default=list)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user"], name="recovery_codes_of_a_user"),
        ]

    def __str__(self) -> str:
        return f"Recovery codes of user {self.user_id}"

    def verify_token(self, token: str) -> bool:
        """Return whether it is the hash of a code that is left, and use it up."""
        if not self.verify_is_allowed()[0]:
            return False
        if token not in self.hashes:
            self.throttle_increment()
            return False
        self.hashes.remove(token)
        self.throttle_reset()
        return True

    def get_throttle_factor(self) -> int:
        """Return the seconds to wait after a wrong code; each further one doubles them."""
        return 1

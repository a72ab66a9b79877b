"""E-mail addresses of accounts: which are verified, and how they change (docs/security.md)."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import EmailAddress
from retail.security.trail import actor, record, subject_of

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

MOST_CHARACTERS = 254  # RFC 5321; what is longer after normalising reaches nobody


def normalized(address: str) -> str:
    """Return what all spellings of an address have in common that reach the same mailbox.

    No two accounts have a verified address with the same result. E-mails go to the address as its
    user wrote it.
    """
    text = unicodedata.normalize("NFKC", address).casefold()  # which may undo the former
    local, _, domain = unicodedata.normalize("NFKC", text).strip().rpartition("@")
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    domain = domain.rstrip(".")
    with suppress(UnicodeError):
        domain = domain.encode("idna").decode()
    return f"{local}@{domain}"[:MOST_CHARACTERS]


def address_key(address: str) -> str:
    """Return what counts have in place of an address."""
    return hashlib.sha256(normalized(address).encode()).hexdigest()


def verified_address(user: AbstractBaseUser | AnonymousUser) -> str | None:
    """Return the account's address if it is verified."""
    email: str = getattr(user, "email", "")
    if not email:
        return None
    known = EmailAddress.objects.filter(user=user.pk, verified=normalized(email)).exists()
    return email if known else None


def account_of(address: str) -> User | None:
    """Return the active account whose verified address this is."""
    key = normalized(address)
    known = EmailAddress.objects.select_related("user").filter(verified=key, user__is_active=True)
    row = known.first()
    return row.user if row is not None and normalized(row.user.email) == key else None


def pending_address(*, user_id: int) -> str:
    """Return the address that waits for its link to be opened, or nothing."""
    pending = EmailAddress.objects.filter(user=user_id).values_list("pending", flat=True)
    return pending.first() or ""


def address_pend(*, user_id: int, address: str) -> None:
    """Let an address wait for its link to be opened. The account's present one stays."""
    values = {"pending": address, "pending_since": timezone.now()}
    EmailAddress.objects.update_or_create(user_id=user_id, defaults=values)


def address_withdraw(*, user_id: int) -> None:
    """Regard the account's address as not verified: somebody else has written it."""
    EmailAddress.objects.filter(user=user_id).update(verified=None, verified_at=None)


def address_trust(*, user: User) -> bool:
    """Regard the account's address as verified; return False if it is another account's."""
    values = {
        "verified": normalized(user.email),
        "verified_at": timezone.now(),
        "pending": "",
        "pending_since": None,
    }
    try:
        with transaction.atomic():
            EmailAddress.objects.update_or_create(user=user, defaults=values)
    except IntegrityError:
        return False
    return True


class AddressTokens(PasswordResetTokenGenerator):
    """Signs the links that confirm a waiting address.

    A link ends with its time (PASSWORD_RESET_TIMEOUT), its use, another address or password.
    """

    key_salt = "accounts.addresses"

    def _make_hash_value(self, row: EmailAddress, timestamp: int) -> str:  # type: ignore[override]
        user = row.user
        parts = (user.pk, user.password, user.email, row.pending, row.verified_at, timestamp)
        return repr(tuple(map(str, parts)))


tokens = AddressTokens()


def confirmable(*, user_id: int, token: str) -> EmailAddress | None:
    """Return the waiting address of an active account if the link's token is valid for it."""
    rows = EmailAddress.objects.select_related("user").exclude(pending="")
    row = rows.filter(user=user_id, user__is_active=True).first()
    return row if row is not None and tokens.check_token(row, token) else None  # type: ignore[arg-type]


@transaction.atomic
def address_confirm(*, user_id: int, token: str) -> tuple[User, str | None] | None:
    """Make the waiting address the account's; return the account, and its former verified address.

    Returns None if the link is no longer valid, or the address has become another account's.
    """
    list(User.objects.select_for_update().filter(pk=user_id).values_list("pk"))
    row = confirmable(user_id=user_id, token=token)
    if row is None:
        return None
    user, address = row.user, row.pending
    former = verified_address(user)
    changed = user.email != address
    user.email = address
    if not address_trust(user=user):
        return None
    if changed:
        user.save(update_fields=["email"])
    record("email_confirmed", user_id=actor(), subject=subject_of(user))
    is_new = former is not None and normalized(former) != normalized(address)
    return user, former if is_new else None

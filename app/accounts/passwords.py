"""Rules for passwords, in addition to Django's: the shop's own words, and longer ones for staff."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

STAFF_LENGTH = 12
LEFT = 8  # characters that must be left of a password without these words
# What somebody tries first at a shop, besides its name.
WORDS = {
    *("account", "admin", "administrator", "buyer", "customer", "default", "guest"),
    *("letmein", "login", "manager", "password", "qwerty", "retail", "root"),
    *("secret", "shop", "staff", "store", "superuser", "support", "user"),
    *("welcome",),
}
_LOOKALIKES = str.maketrans("013457@$!", "oieastasi")


class OwnWordsValidator:
    """Refuses a password that is little more than one of the shop's own words."""

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:  # noqa: ARG002 - Django passes it
        """Raise ValidationError if too little is left without these words."""
        plain = password.lower()
        rest = min(
            (_without_words(text) for text in (plain, plain.translate(_LOOKALIKES))), key=len
        )
        if len(rest) < min(LEFT, len(plain)):
            raise ValidationError(
                "This password is little more than a word that others try first at this shop.",
                code="password_own_word",
            )

    def get_help_text(self) -> str:
        """Return the rule, for the form."""
        return "Your password can't be built around the shop's name, or words like \"admin\"."


class StaffLengthValidator:
    """Requires longer passwords of staff, who can do more harm."""

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raise ValidationError if a member of staff's password is too short."""
        is_staff = getattr(user, "is_staff", False) or getattr(user, "is_superuser", False)
        if is_staff and len(password) < STAFF_LENGTH:
            raise ValidationError(
                f"This password is too short for staff: it must contain at least {STAFF_LENGTH} "
                "characters.",
                code="password_too_short_for_staff",
            )

    def get_help_text(self) -> str:
        """Return the rule, for the form."""
        return f"Staff need at least {STAFF_LENGTH} characters."


def _without_words(text: str) -> str:
    """Return the text without the shop's own words, the longest first."""
    words = sorted({*WORDS, *re.findall(r"\w+", settings.SHOP_NAME.lower())}, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, words)), "", text)

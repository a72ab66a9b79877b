"""What accounts store of a person: how it is exported and erased."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts import address_emails, emails
from accounts.models import EmailAddress, Notice, Passkey, RecoveryCodes, Session, UserProfile
from accounts.services import users_lock
from retail import personal_data
from retail.models import Email
from retail.personal_data import PersonalData, register, rows
from retail.security.trail import record

if TYPE_CHECKING:
    from django.db.models import QuerySet

KINDS = [
    kind.name
    for kind in (
        *(emails.PASSWORD_RESET, emails.PASSWORD_CHANGED, address_emails.CONFIRM),
        *(address_emails.CHANGE_ASKED, address_emails.CHANGED),
    )
]


@transaction.atomic
def account_erase(*, user_id: int) -> None:
    """Erase what the shop stores of a person. Raises ErasureRefusedError.

    The account's row stays, without a name, for the orders that must be kept.
    """
    users_lock(ids=[user_id])
    record("account_erased", user_id=user_id, subject=f"auth.user {user_id}")
    personal_data.erase(user_id)


def _erase_account(user_id: int) -> None:
    name = f"erased-{user_id}-{secrets.token_hex(4)}"
    User.objects.filter(pk=user_id).update(
        username=name,
        password=make_password(None),
        is_active=False,
        last_login=None,
        **dict.fromkeys(("first_name", "last_name", "email"), ""),
    )
    about = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User))
    about.filter(object_id=str(user_id)).update(object_repr=name)


def _erase_second_factor(user_id: int) -> None:
    for model in (TOTPDevice, RecoveryCodes):
        model.objects.filter(user=user_id).delete()


def _emails(user_id: int) -> QuerySet[Email]:
    return Email.objects.filter(kind__in=KINDS, about=str(user_id))


register(
    PersonalData(
        section="account",
        models=["auth.User"],
        export=lambda user_id: rows(
            User.objects.filter(pk=user_id),
            *("id", "username", "first_name", "last_name", "email", "date_joined", "last_login"),
            *("is_active", "is_staff"),
        ),
        erase=_erase_account,
        left="the id, with a random name, not active",
        kept="until it is erased",
    )
)
register(
    PersonalData(
        section="email_address",
        models=["accounts.EmailAddress"],
        export=lambda user_id: rows(
            EmailAddress.objects.filter(user=user_id),
            *("verified", "verified_at", "pending", "pending_since"),
        ),
        erase=lambda user_id: EmailAddress.objects.filter(user=user_id).delete(),
        left="nothing",
        kept="as the account; one that nobody confirms, 30 days",
    )
)
register(
    PersonalData(
        section="profile",
        models=["accounts.UserProfile"],
        export=lambda user_id: rows(
            UserProfile.objects.filter(user=user_id), "full_name", "phone", "address"
        ),
        erase=lambda user_id: UserProfile.objects.filter(user=user_id).delete(),
        left="nothing",
        kept="as the account",
    )
)
register(
    PersonalData(
        section="notices",
        models=["accounts.Notice"],
        export=lambda user_id: rows(
            Notice.objects.filter(user=user_id), "text", "link", "created_at"
        ),
        erase=lambda user_id: Notice.objects.filter(user=user_id).delete(),
        left="nothing",
        kept="until they are seen, 30 days at most",
    )
)
register(
    PersonalData(
        section="sessions",
        models=["accounts.Session"],
        export=lambda user_id: list(
            Session.objects.filter(user_id=user_id)
            .values("started_at", "seen_at", "client", "browser", "expire_date")
            .order_by("started_at")
        ),
        erase=lambda user_id: Session.objects.filter(user_id=user_id).delete(),
        left="nothing",
        kept="until they end",
    )
)
register(
    PersonalData(
        section="second_factor",
        models=["otp_totp.TOTPDevice", "accounts.RecoveryCodes"],
        export=lambda user_id: [
            found
            for model in (TOTPDevice, RecoveryCodes)
            for found in rows(model.objects.filter(user=user_id), "name", "confirmed")
        ],
        erase=_erase_second_factor,
        left="nothing",
        kept="until it is removed",
    )
)
register(
    PersonalData(
        section="passkeys",
        models=["accounts.Passkey"],
        export=lambda user_id: rows(
            Passkey.objects.filter(user=user_id), "name", "created_at", "last_used_at"
        ),
        erase=lambda user_id: Passkey.objects.filter(user=user_id).delete(),
        left="nothing",
        kept="until it is removed",
    )
)
register(
    PersonalData(
        section="account_emails",
        models=["retail.Email"],
        export=lambda user_id: rows(
            _emails(user_id), "kind", "context", "state", "created_at", "ended_at"
        ),
        erase=lambda user_id: _emails(user_id).delete(),
        left="nothing",
        kept="`EMAIL_KEEP_DAYS`",
    )
)
register(
    PersonalData(
        section="admin_log",
        models=["admin.LogEntry"],
        export=lambda user_id: rows(
            LogEntry.objects.filter(user=user_id), "action_time", "object_repr", "action_flag"
        ),
        erase=lambda _user_id: None,  # of staff, whose names go with their accounts
        left="what staff did, by the account's id",
        kept="forever",
    )
)

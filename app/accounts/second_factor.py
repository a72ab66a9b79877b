"""The second factors of an account: an authenticator app (TOTP), passkeys, and recovery codes.

See docs/adr/0027. Passkeys are verified in `passkeys.py`.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from math import ceil
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.models import Passkey, RecoveryCodes
from accounts.own_sessions import sessions_end
from retail.security.trail import actor, record, subject_of
from retail.throttling import ThrottledError, record_throttled

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django_otp.models import Device

SCOPE = "second_factor"
APP, PASSKEY, RECOVERY = "authenticator app", "passkey", "recovery code"
CODES = 10
CODE_BYTES = 15  # 120 bits: too many to guess from a fast hash
_GROUP = re.compile("." * 6)
_APP_CODE = re.compile(r"[0-9]{6}")


class LastFactorError(Exception):
    """An account that must have a second factor would be left without one."""


def app_of(user: User) -> TOTPDevice | None:
    """Return the user's authenticator app."""
    device: TOTPDevice | None = TOTPDevice.objects.filter(user=user, confirmed=True).first()
    return device


def passkeys_of(user: User) -> QuerySet[Passkey]:
    """Return the user's passkeys, the oldest first."""
    return Passkey.objects.filter(user=user).order_by("pk")


def factor_count(user: User) -> int:
    """Return how many second factors the user has: the app, and each passkey."""
    return passkeys_of(user).count() + (app_of(user) is not None)


def has_factor(user: User) -> bool:
    """Return whether the user has a second factor, whichever it is."""
    return factor_count(user) > 0


def codes_left(user: User) -> int:
    """Return how many recovery codes the user has left."""
    row = RecoveryCodes.objects.filter(user=user).first()
    return len(row.hashes) if row else 0


def _clean(code: str) -> str:
    return re.sub(r"[^0-9a-z]", "", code.lower())


def _hash(code: str) -> str:
    return hashlib.sha256(_clean(code).encode()).hexdigest()


def _wait(device: Device, user: User) -> None:
    """Raise ThrottledError if wrong codes were tried just before."""
    allowed, why = device.verify_is_allowed()
    if not allowed:
        record_throttled(SCOPE, user.pk)
        seconds = (why["locked_until"] - timezone.now()).total_seconds()
        raise ThrottledError(SCOPE, max(1, ceil(seconds)))


def code_verify(*, user: User, code: str) -> str | None:
    """Return what a code is of, APP or RECOVERY, if it is right. Each is good for once.

    Raises ThrottledError for a code that comes too soon after wrong ones.
    """
    cleaned = _clean(code)
    is_of_app = _APP_CODE.fullmatch(cleaned) is not None
    model, kind = (TOTPDevice, APP) if is_of_app else (RecoveryCodes, RECOVERY)
    with transaction.atomic():
        device = model.objects.select_for_update().filter(user=user, confirmed=True).first()
        if device is not None:
            _wait(device, user)
        right = device is not None and device.verify_token(cleaned if is_of_app else _hash(code))
    record(
        "factor_used",
        user_id=user.pk,
        subject=subject_of(user),
        detail=kind,
        succeeded=right,
    )
    return kind if right else None


def app_add(*, user: User, key: str, code: str, may_replace: bool) -> list[str] | None:
    """Make an app the user's second factor if its code is right; return new recovery codes.

    None if the code is wrong, or if there is another factor that was not given. Beside passkeys,
    the recovery codes stay as they are, and none are returned.
    """
    totp = TOTP(bytes.fromhex(key))
    totp.time = time.time()
    cleaned = _clean(code)
    if not (_APP_CODE.fullmatch(cleaned) and totp.verify(int(cleaned), tolerance=1)):
        return None
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        if has_factor(user) and not may_replace:
            return None
        TOTPDevice.objects.filter(user=user).delete()
        # The same code is not good for a log-in, too.
        TOTPDevice.objects.create(user=user, name=APP, key=key, last_t=totp.t())
        record("factor_added", user_id=actor(), subject=subject_of(user), detail=APP)
        return [] if passkeys_of(user).exists() else recovery_codes_renew(user=user)


@transaction.atomic
def recovery_codes_renew(*, user: User) -> list[str]:
    """Give the user new recovery codes in place of all others, and return them."""
    codes = [
        base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode().lower() for _ in range(CODES)
    ]
    hashes = {"hashes": [_hash(code) for code in codes], "throttling_failure_count": 0}
    RecoveryCodes.objects.update_or_create(user=user, defaults=hashes)
    record("factor_added", user_id=actor(), subject=subject_of(user), detail="recovery codes")
    return ["-".join(_GROUP.findall(code)) for code in codes]


@transaction.atomic
def factor_remove(
    *, user: User, rows: QuerySet[Any], kind: str, keep_session: str, required: bool
) -> None:
    """Remove these rows of one of the user's factors, and log them out but for one session.

    The recovery codes go with the last factor. Raises LastFactorError if one is required.
    """
    User.objects.select_for_update().get(pk=user.pk)
    if not rows.filter(user=user).delete()[0]:
        return
    if not has_factor(user):
        if required:
            raise LastFactorError
        RecoveryCodes.objects.filter(user=user).delete()
    record("factor_removed", user_id=actor(), subject=subject_of(user), detail=kind)
    sessions_end(user, keep=keep_session)


@transaction.atomic
def factors_reset(*, user: User) -> bool:
    """Remove all of the user's factors, and log them out. Return whether there were any."""
    User.objects.select_for_update().get(pk=user.pk)
    models = {APP: TOTPDevice, PASSKEY: Passkey, RECOVERY: RecoveryCodes}
    removed = [
        kind for kind, model in models.items() if model.objects.filter(user=user).delete()[0]
    ]
    if removed:
        detail = ", ".join(removed)
        record("factor_removed", user_id=actor(), subject=subject_of(user), detail=detail)
    sessions_end(user)
    return bool(removed)

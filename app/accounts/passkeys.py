"""Passkeys (WebAuthn): what a browser is asked, and whether its answer is right.

The challenge of a question is in the session: random, for one purpose and user, good for one answer
that comes in time. See docs/adr/0027.

The library is imported where it is used: it takes 16 MB, and few processes ever meet a passkey.
"""

from __future__ import annotations

import base64
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import Passkey
from accounts.second_factor import PASSKEY, has_factor, passkeys_of, recovery_codes_renew
from retail.security.trail import actor, record, subject_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.sessions.backends.base import SessionBase
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

    from accounts.passkey_site import Site

    Options = dict[str, Any]

T = TypeVar("T")

SESSION_KEY = "passkey_challenge"
ADD, USE = "add", "use"
ASKING_SECONDS = 120  # how long a browser waits for its user
CHALLENGE_SECONDS = 180
CHALLENGE_BYTES = 64
MOST_PASSKEYS = 20  # of a user
LONGEST_ID = 1023  # bytes, by the standard

logger = logging.getLogger("accounts.passkeys")


class PasskeyRefusedError(Exception):
    """No passkey was added. The message says to the user why."""


def _text(value: bytes) -> str:
    """Return base64url, as WebAuthn writes it."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _remember(session: SessionBase, user: User, purpose: str) -> bytes:
    challenge = secrets.token_bytes(CHALLENGE_BYTES)
    session[SESSION_KEY] = {
        "challenge": _text(challenge),
        "user": user.pk,
        "purpose": purpose,
        "until": time.time() + CHALLENGE_SECONDS,
    }
    return challenge


def _take(session: SessionBase, user: User, purpose: str) -> bytes | None:
    """Return the challenge that was asked for last, and forget it."""
    asked = session.pop(SESSION_KEY, None)
    if asked is None or (asked["user"], asked["purpose"]) != (user.pk, purpose):
        return None
    if not 0 <= asked["until"] - time.time() <= CHALLENGE_SECONDS:
        return None
    return _bytes(asked["challenge"])


def _known(user: User) -> list[PublicKeyCredentialDescriptor]:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor  # noqa: PLC0415 - see above

    ids = passkeys_of(user).values_list("credential_id", flat=True)
    return [PublicKeyCredentialDescriptor(id=_bytes(one)) for one in ids]


def question_to_add(session: SessionBase, site: Site, user: User, shop_name: str) -> Options:
    """Return what the browser needs to make a passkey."""
    import webauthn  # noqa: PLC0415 - see above
    from webauthn.helpers import structs  # noqa: PLC0415 - see above

    options = webauthn.generate_registration_options(
        rp_id=site.rp_id,
        rp_name=shop_name,
        user_id=salted_hmac("accounts.passkeys", str(user.pk), algorithm="sha256").digest(),
        user_name=user.get_username(),
        challenge=_remember(session, user, ADD),
        timeout=ASKING_SECONDS * 1000,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.DISCOURAGED,
            user_verification=structs.UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=_known(user),
    )
    return webauthn.helpers.options_to_json_dict(options)


def question_to_use(session: SessionBase, site: Site, user: User) -> Options:
    """Return what the browser needs to use one of the user's passkeys."""
    import webauthn  # noqa: PLC0415 - see above
    from webauthn.helpers import structs  # noqa: PLC0415 - see above

    options = webauthn.generate_authentication_options(
        rp_id=site.rp_id,
        challenge=_remember(session, user, USE),
        timeout=ASKING_SECONDS * 1000,
        allow_credentials=_known(user),
        user_verification=structs.UserVerificationRequirement.PREFERRED,
    )
    return webauthn.helpers.options_to_json_dict(options)


def _read(read: Callable[[], T]) -> T | None:
    """Return what the library reads in an answer; None if it refuses it."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - anything that a stranger's bytes raise in parsers
        reason = f"{type(error).__name__}: {error}"[:200]
        logger.info("event=passkey.refused", extra={"reason": reason})
        return None


def passkey_add(  # noqa: PLR0913 - by keyword only
    *, session: SessionBase, site: Site, user: User, name: str, answer: str, may_add: bool
) -> list[str]:
    """Store the passkey that the browser has made; return recovery codes if it's the first factor.

    Raises PasskeyRefusedError; also if there is another factor, which was not given.
    """
    import webauthn  # noqa: PLC0415 - see above

    challenge = _take(session, user, ADD)
    if challenge is None:
        raise PasskeyRefusedError("This took too long, or was sent twice. Try again.")
    made = _read(
        lambda: webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
        )
    )
    if made is None or len(made.credential_id) > LONGEST_ID:
        raise PasskeyRefusedError("This is not a passkey that the shop can use. Try again.")
    passkey = Passkey(
        user=user,
        name=name,
        credential_id=_text(made.credential_id),
        public_key=_text(made.credential_public_key),
        sign_count=made.sign_count,
    )
    try:
        return _store(passkey, may_add=may_add)
    except IntegrityError:
        raise PasskeyRefusedError("This passkey has been added before.") from None


@transaction.atomic
def _store(passkey: Passkey, *, may_add: bool) -> list[str]:
    user = User.objects.select_for_update().get(pk=passkey.user_id)
    has_another = has_factor(user)
    if has_another and not may_add:
        raise PasskeyRefusedError("Log in again with your second factor first.")
    if passkeys_of(user).count() >= MOST_PASSKEYS:
        raise PasskeyRefusedError("You have too many passkeys. Remove one first.")
    passkey.save(force_insert=True)
    record("factor_added", user_id=actor(), subject=subject_of(user), detail=PASSKEY)
    return [] if has_another else recovery_codes_renew(user=user)


def passkey_verify(*, session: SessionBase, site: Site, user: User, answer: str) -> str | None:
    """Return PASSKEY if the answer is of one of the user's passkeys, to the question asked last."""
    wrong = _why_wrong(_take(session, user, USE), site, user, answer)
    record(
        "factor_used",
        user_id=user.pk,
        subject=subject_of(user),
        detail=f"{PASSKEY}: {wrong}" if wrong else PASSKEY,
        succeeded=not wrong,
    )
    return None if wrong else PASSKEY


@transaction.atomic
def _why_wrong(challenge: bytes | None, site: Site, user: User, answer: str) -> str:
    """Return why an answer is wrong; "" if it is right, and its passkey is used."""
    if challenge is None:
        return "no question"
    passkey = _named(user, answer)
    if passkey is None:
        return "unknown"
    count = _count(passkey, site, challenge, answer)
    if count is None:
        return "wrong answer"
    # Most devices that sync passkeys count nothing.
    if count <= passkey.sign_count and (count or passkey.sign_count):
        return "counter went back"
    passkey.sign_count, passkey.last_used_at = count, timezone.now()
    passkey.save(update_fields=["sign_count", "last_used_at"])
    return ""


def _named(user: User, answer: str) -> Passkey | None:
    """Return the user's passkey that an answer names, locked."""
    from webauthn.helpers import parse_authentication_credential_json  # noqa: PLC0415 - see above

    credential = _read(lambda: parse_authentication_credential_json(answer))
    if credential is None:
        return None
    name = _text(credential.raw_id)
    return passkeys_of(user).select_for_update().filter(credential_id=name).first()


def _count(passkey: Passkey, site: Site, challenge: bytes, answer: str) -> int | None:
    """Return what the passkey's device has counted, if the answer is signed by it."""
    import webauthn  # noqa: PLC0415 - see above

    verified = _read(
        lambda: webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
            credential_public_key=_bytes(passkey.public_key),
            credential_current_sign_count=0,  # compared by the caller, which says why
        )
    )
    return verified.new_sign_count if verified is not None else None

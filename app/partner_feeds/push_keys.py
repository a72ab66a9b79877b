"""Keys with which partners send their files. Only a key's digest is stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from partner_feeds.events import logger
from partner_feeds.models import PushKey

if TYPE_CHECKING:
    from partner_feeds.models import Partner

PREFIX = "vtf_"
RANDOM_BYTES = 32
SHOWN = 12  # characters that tell keys apart
USE_NOTED_EVERY = timedelta(minutes=1)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def push_key_create(partner: Partner, user_id: int | None) -> tuple[PushKey, str]:
    """Create a key; return it and its secret, which cannot be shown again."""
    secret = f"{PREFIX}{secrets.token_urlsafe(RANDOM_BYTES)}"
    key = PushKey.objects.create(
        partner=partner, digest=_digest(secret), start=secret[:SHOWN], created_by_id=user_id
    )
    _log("event=feed.key_created", key, user_id)
    return key, secret


def push_key_revoke(key: PushKey, user_id: int | None) -> bool:
    """Let a key open nothing from now on; return False if it was revoked before."""
    valid = PushKey.objects.filter(pk=key.pk, revoked_at=None)
    revoked = bool(valid.update(revoked_at=timezone.now()))
    key.refresh_from_db()
    if revoked:
        _log("event=feed.key_revoked", key, user_id)
    return revoked


def partner_with(secret: str, slug: str) -> Partner | None:
    """Return the active partner with this slug whose valid key it is, and note the use.

    The key is found by its digest, so how long that takes says nothing of other keys.
    """
    digest = _digest(secret)
    valid = PushKey.objects.filter(digest=digest, revoked_at=None, partner__is_active=True)
    key = valid.select_related("partner").first()
    if key is None or not hmac.compare_digest(key.partner.slug, slug):
        return None
    now = timezone.now()
    if key.last_used_at is None or abs(now - key.last_used_at) >= USE_NOTED_EVERY:
        PushKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key.partner


def _log(event: str, key: PushKey, user_id: int | None) -> None:
    fields = {"partner": key.partner.slug, "push_key": key.pk, "user_id": user_id}
    logger.info(event, extra=fields)

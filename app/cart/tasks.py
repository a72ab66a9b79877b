"""Periodic jobs of the cart app."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from cart.models import Cart
from retail.db.batches import in_parts
from retail.jobs import job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet

MAX_AGE = timedelta(days=30)
CUSTOMERS_MAX_AGE = timedelta(days=365)


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def prune_carts() -> int:
    """Delete visitors' carts unchanged for 30 days, and customers' for a year; return how many.

    A cart is locked before its items, and one that is just being changed stays.
    """
    now = timezone.now()
    abandoned = Cart.objects.filter(
        Q(user=None, updated_at__lt=now - MAX_AGE) | Q(updated_at__lt=now - CUSTOMERS_MAX_AGE)
    )
    keys = list(abandoned.values_list("pk", flat=True))
    parts, kept = in_parts(keys, partial(_delete, abandoned), batch="prune_carts")
    if kept:
        raise RuntimeError(f"carts that cannot be deleted: {kept[:10]}")
    return sum(parts)


@transaction.atomic
def _delete(carts: QuerySet[Cart], keys: Sequence[int]) -> int:
    """Delete those that are still abandoned; return how many."""
    locked = carts.filter(pk__in=keys).select_for_update(skip_locked=True).order_by("pk")
    ids = list(locked.values_list("pk", flat=True))
    return Cart.objects.filter(pk__in=ids).delete()[1].get("cart.Cart", 0)

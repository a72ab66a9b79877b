"""What returns and refunds store of a person. They are kept for the books, without their words."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Q

from retail.models import Email
from retail.personal_data import ErasureRefusedError, PersonalData, register, rows
from returns.announcements import KINDS
from returns.measures import RETURN_STATES
from returns.models import Refund, Return, ReturnItem

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet


def _returns(user_id: int) -> QuerySet[Return]:
    return Return.objects.filter(sale__user=user_id)


def _refunds(user_id: int) -> QuerySet[Refund]:
    return Refund.objects.filter(payment__sale__user=user_id)


def _emails(user_id: int) -> QuerySet[Email]:
    about = Q(about__in=_returns(user_id).values("reference"))
    about |= Q(about__in=_refunds(user_id).values("reference"))
    return Email.objects.filter(about, kind__in=KINDS)


def forget_old(now: datetime) -> int:
    """Forget the texts of returns and refunds of orders as old as those forgotten; return how many.

    What is not settled keeps its words.
    """
    before = now - timedelta(days=settings.ORDER_DETAILS_KEEP_DAYS)
    returns = Return.objects.filter(sale__finished_at__lt=before).exclude(note="", answer="")
    refunds = Refund.objects.filter(
        payment__sale__finished_at__lt=before, settled_at__isnull=False
    ).exclude(message="")
    count = returns.exclude(status__in=RETURN_STATES).update(note="", answer="")
    return count + refunds.update(message="")


def _export_returns(user_id: int) -> list[dict[str, Any]]:
    found = rows(
        _returns(user_id),
        *("id", "reference", "sale__reference", "status", "reason", "note", "answer"),
        *("requested_at", "decided_at", "received_at", "ended_at"),
    )
    for row in found:
        items = ReturnItem.objects.filter(of_return=row.pop("id"))
        row["items"] = rows(
            items,
            *("sale_item__product_name", "requested", "approved", "sellable", "damaged", "lost"),
            "value",
        )
    return found


def _erase_returns(user_id: int) -> None:
    if _returns(user_id).filter(status__in=RETURN_STATES).exists():
        raise ErasureRefusedError("You are returning items. Try again when the return is closed.")
    _returns(user_id).update(note="", answer="")


def _erase_refunds(user_id: int) -> None:
    if _refunds(user_id).filter(settled_at=None).exists():
        raise ErasureRefusedError(
            "A refund to you has not been paid out yet. Try again when it has arrived."
        )
    _refunds(user_id).exclude(message="").update(message="")


register(
    PersonalData(
        section="returns",
        models=["returns.Return", "returns.ReturnItem"],
        export=_export_returns,
        erase=_erase_returns,
        left="which goods came back, and why; without the texts",
        kept="as the order; the texts, `ORDER_DETAILS_KEEP_DAYS` after the order's end",
    )
)
register(
    PersonalData(
        section="refunds",
        models=["returns.Refund"],
        export=lambda user_id: rows(
            _refunds(user_id),
            *("reference", "payment__sale__reference", "amount", "currency", "reason", "message"),
            *("status", "method", "created_at", "settled_at"),
        ),
        erase=_erase_refunds,
        left="what was paid back, without the text",
        kept="as the order; the texts, `ORDER_DETAILS_KEEP_DAYS` after the order's end",
    )
)
register(
    PersonalData(
        section="return_emails",
        models=["retail.Email"],
        export=lambda user_id: rows(
            _emails(user_id), "kind", "about", "state", "created_at", "ended_at"
        ),
        erase=lambda user_id: _emails(user_id).delete(),
        left="nothing",
        kept="`EMAIL_KEEP_DAYS`",
    )
)

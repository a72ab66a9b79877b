"""A Django app that stops the shop's processes at the steps of each order's refund.

As in stops.py. The list of changes is read only while the file `follow` exists: it would tell the
outcome of refunds that wait at their steps, or for being sent again.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig
from django.db import transaction

from tests.faults import stops
from tests.faults.plans import Plan
from tests.faults.stops import reach

if TYPE_CHECKING:
    from collections.abc import Callable


def _begin(plan: Plan | None) -> None:
    stops._current.plan = plan


def _wrap_finish(original: Callable[..., Any]) -> Callable[..., Any]:
    def finish(refund: Any) -> None:
        plan = Plan.of(refund.payment.sale.delivery_name)
        _begin(plan)
        if plan is not None:
            stops._wait_for(f"{plan.number}.turn")
        reach("after claim")
        original(refund)

    return finish


def _wrap_mark_sent(original: Callable[..., Any]) -> Callable[..., Any]:
    def mark_sent(*args: Any) -> Any:
        result = original(*args)
        reach("before sending")
        return result

    return mark_sent


def _wrap_send(original: Callable[..., Any]) -> Callable[..., Any]:
    def refund_send(*, request: Any, attempt: int) -> Any:
        plan = stops._plan()
        if plan is not None and plan.sabotage == "new key":
            request = replace(request, key=uuid.uuid4().hex)
        try:
            return original(request=request, attempt=attempt)
        finally:
            reach("after the gateway call")

    return refund_send


def _wrap_write(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap what stores the outcome of a call."""

    def write(*args: Any, **kwargs: Any) -> Any:
        with transaction.atomic():  # stop after the last statement and before the commit
            result = original(*args, **kwargs)
            reach("inside the adoption")
        reach("after the adoption")
        return result

    return write


def _wrap_adopt_change(original: Callable[..., Any]) -> Callable[..., Any]:
    def refund_adopt(*, refund: Any, **kwargs: Any) -> Any:
        _begin(Plan.of(refund.payment.sale.delivery_name))
        result = original(refund=refund, **kwargs)
        reach("inside the change")
        return result

    return refund_adopt


def _wrap_read_page(original: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: original() if (stops.FOLDER / "follow").exists() else []


def _wrap_cancel(original: Callable[..., Any]) -> Callable[..., Any]:
    def order_cancel(*, sale: Any, user_id: Any) -> Any:
        _begin(Plan.of(sale.delivery_name))
        reach("before the request is stored")
        result = original(sale=sale, user_id=user_id)
        reach("after the request is stored")
        return result

    return order_cancel


def _wrap_request(original: Callable[..., Any]) -> Callable[..., Any]:
    def refund_request(**kwargs: Any) -> Any:
        result = original(**kwargs)
        reach("inside the transaction")
        return result

    return refund_request


class RefundStopsConfig(AppConfig):
    name = "tests.faults.refund_stops"
    label = "refund_stops"

    def ready(self) -> None:
        """Wrap each step of a refund."""
        from returns import changes, refunding, services  # noqa: PLC0415 - not before the apps are ready

        wrappers: list[tuple[Any, str, Any]] = [
            (services, "order_cancel", _wrap_cancel),
            (services, "refund_request", _wrap_request),
            (refunding, "finish", _wrap_finish),
            (refunding, "_mark_sent", _wrap_mark_sent),
            (refunding, "refund_send", _wrap_send),
            (refunding, "refund_adopt", _wrap_write),
            (refunding, "change_status", _wrap_write),
            (changes, "refund_adopt", _wrap_adopt_change),
            (changes, "_read_page", _wrap_read_page),
        ]
        for owner, name, wrapper in wrappers:
            setattr(owner, name, wrapper(getattr(owner, name)))
        changes.PAUSE_SECONDS = 0.5  # type: ignore[assignment]
        # All orders of a round stop in one worker at the same time.
        refunding.CONCURRENCY = refunding.BATCH = 150

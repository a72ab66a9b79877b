"""An app for the shop's processes in these tests: stop at the step that an order's plan names.

A process that reaches its step leaves a file, `<number>.reached`, and waits for another,
`<number>.go`, which comes only if the test does not kill it there. The worker takes an order up
only when `<number>.turn` is there: by then the gateway does what the plan says.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig
from django.db import transaction

from tests.faults.plans import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(os.environ["STOPS_FOLDER"])
ROLE = "worker" if sys.argv[1:2] == ["worker"] else "web"

_at_hand = threading.local()  # .plan: of the order that this thread is at


def _plan() -> Plan | None:
    plan: Plan | None = getattr(_at_hand, "plan", None)
    return plan


def _wait_for(file: str) -> None:
    while not (FOLDER / file).exists():
        time.sleep(0.02)


def reach(step: str) -> None:
    """Stop here if the plan at hand says so, once."""
    plan = _plan()
    if plan is None or step != {"web": plan.web, "worker": plan.worker}[ROLE]:
        return
    try:
        (FOLDER / f"{plan.number}.reached").touch(exist_ok=False)
    except FileExistsError:
        return  # the process that stopped here is dead, and this is its successor
    _wait_for(f"{plan.number}.go")


def _reserving(original: Callable[..., Any]) -> Callable[..., Any]:
    def reserve(order: Any, key: str) -> Any:
        _at_hand.plan = Plan.of(order.delivery_name)
        reach("before reserve")
        made = original(order, key)
        reach("after reserve")
        return made

    return reserve


def _finishing(original: Callable[..., Any]) -> Callable[..., Any]:
    def finish(payment: Any) -> None:
        _at_hand.plan = plan = Plan.of(payment.sale.delivery_name)
        if plan is not None:
            _wait_for(f"{plan.number}.turn")
        reach("after claim")
        original(payment)

    return finish


def _calling(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(**wanted: Any) -> Any:
        plan = _plan()
        if plan is not None and plan.sabotage == "new key" and "charge" in wanted:
            wanted["charge"] = replace(wanted["charge"], key=uuid.uuid4().hex)
        try:
            return original(**wanted)
        finally:
            reach("after the gateway call")

    return call


def _settling(original: Callable[..., Any]) -> Callable[..., Any]:
    def payment_settle(**wanted: Any) -> Any:
        plan = _plan()
        if plan is not None and plan.sabotage == "settles twice":
            _unsettle(plan)
        done = original(**wanted)
        reach("after settle")
        return done

    return payment_settle


def _in_the_midst(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap what settling does last: payment and order are written then, the rest is not."""

    def write(*things: Any, **wanted: Any) -> Any:
        reach("inside settle")
        return original(*things, **wanted)

    return write


def _marking(original: Callable[..., Any]) -> Callable[..., Any]:
    def payment_mark_unknown(**wanted: Any) -> Any:
        with transaction.atomic():  # one UPDATE: it is written here, and not committed
            done = original(**wanted)
            reach("inside settle")
        reach("after settle")
        return done

    return payment_mark_unknown


def _unsettle(plan: Plan) -> None:
    """Make the conditions of the UPDATEs to come hold, as if they had none."""
    from orders.models import Payment, Sale  # noqa: PLC0415 - not before the apps are ready

    sales = Sale.objects.filter(delivery_name=plan.as_name())
    sales.update(status=Sale.Status.PENDING)
    payments = Payment.objects.filter(sale__in=sales)
    payments.update(status=Payment.Status.PENDING, failure_reason="")


def _sending(original: Callable[..., Any]) -> Callable[..., Any]:
    def send_mail(**letter: Any) -> Any:
        reach("with a letter noted")
        sent = original(**letter)
        reach("with a letter sent")
        return sent

    return send_mail


def _confirming(original: Callable[..., Any]) -> Callable[..., Any]:
    def send_confirmation(sale_id: int) -> Any:
        from orders.models import Sale  # noqa: PLC0415 - not before the apps are ready

        _at_hand.plan = Plan.of(Sale.objects.get(pk=sale_id).delivery_name)
        reach("before a letter")
        return original(sale_id)

    return send_confirmation


class StopsConfig(AppConfig):
    name = "tests.faults.stops"
    label = "stops"

    def ready(self) -> None:
        """Put a wrapper around each seam of the checkout."""
        from orders import confirmation_email, recovery, services, settlement  # noqa: PLC0415

        around: list[tuple[Any, str, Any]] = [
            (services, "reserve", _reserving),
            (recovery, "finish", _finishing),
            (recovery, "payment_cancel", _calling),
            (recovery, "payment_settle", _settling),
            (recovery, "payment_mark_unknown", _marking),
            (settlement, "payment_charge", _calling),
            (settlement, "payment_settle", _settling),
            (settlement, "payment_mark_unknown", _marking),
            (settlement, "stock_return", _in_the_midst),
            (confirmation_email.send_confirmation, "enqueue", _in_the_midst),
            (confirmation_email.send_confirmation, "function", _confirming),
            (confirmation_email, "send_mail", _sending),
        ]
        for owner, name, wrapper in around:
            setattr(owner, name, wrapper(getattr(owner, name)))
        # So many orders stop in one worker at the same time.
        recovery.CONCURRENCY = recovery.BATCH = 150

"""A Django app that stops the shop's processes at the steps of each order's plan.

A process that reaches its step creates the file `<number>.reached` and waits for `<number>.go`,
unless the test kills it. The worker starts on an order only when `<number>.turn` exists: then the
gateway behaves as planned.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig
from django.db import transaction
from django.utils import timezone

from tests.faults.plans import Plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

FOLDER = Path(os.environ["STOPS_FOLDER"])
ROLE = "worker" if sys.argv[1:2] == ["worker"] else "web"

_current = threading.local()  # .plan: of the order that this thread works on


def _plan() -> Plan | None:
    plan: Plan | None = getattr(_current, "plan", None)
    return plan


def _wait_for(file: str) -> None:
    while not (FOLDER / file).exists():
        time.sleep(0.02)


def reach(step: str) -> None:
    """Stop here, once, if the current plan says so."""
    plan = _plan()
    if plan is None or step != {"web": plan.web, "worker": plan.worker}[ROLE]:
        return
    try:
        (FOLDER / f"{plan.number}.reached").touch(exist_ok=False)
    except FileExistsError:
        return  # the process that stopped here was killed; this one continues
    _wait_for(f"{plan.number}.go")


def _wrap_reserve(original: Callable[..., Any]) -> Callable[..., Any]:
    def reserve(order: Any, key: str) -> Any:
        _current.plan = Plan.of(order.delivery_name)
        reach("before reserve")
        result = original(order, key)
        reach("after reserve")
        return result

    return reserve


def _wrap_finish(original: Callable[..., Any]) -> Callable[..., Any]:
    def finish(payment: Any) -> None:
        _current.plan = plan = Plan.of(payment.sale.delivery_name)
        if plan is not None:
            _wait_for(f"{plan.number}.turn")
        reach("after claim")
        original(payment)

    return finish


def _wrap_gateway_call(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(**kwargs: Any) -> Any:
        plan = _plan()
        if plan is not None and plan.sabotage == "new key" and "charge" in kwargs:
            kwargs["charge"] = replace(kwargs["charge"], key=uuid.uuid4().hex)
        try:
            return original(**kwargs)
        finally:
            reach("after the gateway call")

    return call


def _wrap_settle(original: Callable[..., Any]) -> Callable[..., Any]:
    def payment_settle(**kwargs: Any) -> Any:
        plan = _plan()
        if plan is not None and plan.sabotage == "settles twice":
            _unsettle(plan)
        result = original(**kwargs)
        reach("after settle")
        return result

    return payment_settle


def _wrap_last_write(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the last write of a settlement, when payment and order are already written."""

    def write(*args: Any, **kwargs: Any) -> Any:
        reach("inside settle")
        return original(*args, **kwargs)

    return write


def _wrap_mark_unknown(original: Callable[..., Any]) -> Callable[..., Any]:
    def payment_mark_unknown(**kwargs: Any) -> Any:
        with transaction.atomic():  # stop after the UPDATE and before the commit
            result = original(**kwargs)
            reach("inside settle")
        reach("after settle")
        return result

    return payment_mark_unknown


def _unsettle(plan: Plan) -> None:
    """Reset the statuses, as if the following UPDATEs had no conditions."""
    from orders.models import Payment, Sale  # noqa: PLC0415 - not before the apps are ready

    sales = Sale.objects.filter(delivery_name=plan.as_name())
    sales.update(status=Sale.Status.PENDING)
    payments = Payment.objects.filter(sale__in=sales)
    payments.update(status=Payment.Status.PENDING, failure_reason="")


def _wrap_send_email(original: Callable[..., Any]) -> Callable[..., Any]:
    def send(email: Any) -> Any:
        from orders.models import Sale  # noqa: PLC0415 - not before the apps are ready

        sale = Sale.objects.filter(reference=email.about).first()
        _current.plan = Plan.of(sale.delivery_name) if sale else None
        reach("before the e-mail")
        return original(email)

    return send


def _wrap_before_text(original: Callable[..., Any]) -> Callable[..., Any]:
    def before_text(email: Any) -> None:
        original(email)
        reach("before handing the e-mail over")

    return before_text


def _wrap_deliver(original: Callable[..., Any]) -> Callable[..., Any]:
    def deliver(*args: Any) -> None:
        original(*args)
        reach("after the e-mail")

    return deliver


def _wrap_clock(original: Callable[[], datetime]) -> Callable[[], datetime]:
    """Set the clock back by an hour while the test wants it."""

    def now() -> datetime:
        hours = int((FOLDER / "clock.set-back").exists())
        return original() - timedelta(hours=hours)

    return now


class StopsConfig(AppConfig):
    name = "tests.faults.stops"
    label = "stops"

    def ready(self) -> None:
        """Wrap each step of the checkout."""
        from orders import announcements, recovery, services, settlement  # noqa: PLC0415
        from retail.mail import outbox  # noqa: PLC0415

        wrappers: list[tuple[Any, str, Any]] = [
            (services, "reserve", _wrap_reserve),
            (recovery, "finish", _wrap_finish),
            (recovery, "payment_cancel", _wrap_gateway_call),
            (recovery, "payment_settle", _wrap_settle),
            (recovery, "payment_mark_unknown", _wrap_mark_unknown),
            (settlement, "payment_charge", _wrap_gateway_call),
            (settlement, "payment_settle", _wrap_settle),
            (settlement, "payment_mark_unknown", _wrap_mark_unknown),
            (settlement, "stock_release", _wrap_last_write),
            (timezone, "now", _wrap_clock),
            (announcements.CONFIRMED, "write", _wrap_last_write),
            (outbox, "_send", _wrap_send_email),
            (outbox, "_before_text", _wrap_before_text),
            (outbox, "_deliver", _wrap_deliver),
        ]
        for owner, name, wrapper in wrappers:
            setattr(owner, name, wrapper(getattr(owner, name)))
        # All orders of a round stop in one worker at the same time.
        recovery.CONCURRENCY = recovery.BATCH = 150

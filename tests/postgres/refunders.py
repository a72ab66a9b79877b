"""One of several processes that refund the same payment, each thread once, all at the same time.

    python -m tests.postgres.refunders <JSON: payment, amount, guard>

Starts when it reads a line and prints a count of the outcomes. What guards the limit: "all"; "no
lock" (the conditional UPDATE alone); "none" (what is left is read, and reserved afterwards).
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import django

django.setup()

from django.db import IntegrityError, connections  # noqa: E402 - settings first
from django.db.models import F, QuerySet  # noqa: E402

from orders.models import Payment  # noqa: E402
from returns import refunds  # noqa: E402
from returns.errors import RefundProblemError  # noqa: E402

THREADS = 50
all_have_read = threading.Barrier(THREADS)


def reserve_what_was_left(payment: Payment, amount: Decimal, **_required: Any) -> bool:
    """Reserve an amount as shops do that check it first: all read before anybody writes."""
    payment.refresh_from_db()
    within = payment.refund_reserved + amount <= payment.amount
    all_have_read.wait()
    if within:
        reserved = F("refund_reserved") + amount
        Payment.objects.filter(pk=payment.pk).update(refund_reserved=reserved)
    return within


def refund(payment_id: int, amount: str) -> str:
    try:
        payment = Payment.objects.get(pk=payment_id)
        refunds.refund_request(payment=payment, amount=Decimal(amount), reason="goodwill")
    except (RefundProblemError, IntegrityError) as refusal:
        return type(refusal).__name__
    finally:
        connections.close_all()
    return "refunded"


def main(arguments: str) -> None:
    logging.disable()
    options = json.loads(arguments)
    if options["guard"] != "all":
        QuerySet.select_for_update = lambda rows, **_options: rows  # type: ignore[method-assign]
    if options["guard"] == "none":
        refunds._reserve = reserve_what_was_left
    print("ready", flush=True)  # noqa: T201 - read by the test
    sys.stdin.readline()
    with ThreadPoolExecutor(THREADS) as pool:
        calls = [pool.submit(refund, options["payment"], options["amount"]) for _ in range(THREADS)]
        outcomes = Counter(call.result() for call in calls)
    print(json.dumps(outcomes), flush=True)  # noqa: T201
    os._exit(0)  # skip flushing telemetry


if __name__ == "__main__":
    main(*sys.argv[1:])

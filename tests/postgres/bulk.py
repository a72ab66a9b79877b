"""A load process: buyers of all products on sale, or staff who reset the whole catalogue meanwhile.

    python -m tests.postgres.bulk <seed> <buyers | staff> <JSON: customers, rounds>

Starts when it reads a line and prints a count of outcomes.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.postgres.attempts import THREADS, LoadThread, charge  # sets Django up

from django.core.management import call_command  # isort: skip
from django.db import IntegrityError, OperationalError, transaction  # isort: skip

from payments import gateway  # isort: skip
from products.models import Product  # isort: skip
from tests.support import make_product  # isort: skip


class BuyerThread(LoadThread):
    """Random orders and changes of carts, of what is on sale at the time."""

    def _order(self) -> str:
        self.products = list(Product.objects.filter(is_active=True).values_list("pk", flat=True))
        try:
            return super()._order()
        except IntegrityError:
            return "deleted while added to a cart"


def reset_catalogue(seed: str, rounds: int) -> Counter[str]:
    """Add products that nobody may have ordered yet, then clear; and refill the samples."""
    outcomes: Counter[str] = Counter()
    for number in range(rounds):
        try:
            for extra in range(3):
                with transaction.atomic():
                    make_product(f"Extra-{seed}-{number}-{extra}", stock=5)
            for option in ("--clear", "--restock"):
                call_command("populate_products", option, stdout=io.StringIO())
            outcomes["reset"] += 1
        except (IntegrityError, OperationalError) as error:
            outcomes[type(error.__cause__).__name__] += 1
    return outcomes


def main(seed: str, role: str, arguments: str) -> None:
    logging.disable()
    gateway.charge = charge
    options = json.loads(arguments)
    print("ready", flush=True)  # noqa: T201 - read by the test
    sys.stdin.readline()
    if role == "staff":
        outcomes = reset_catalogue(seed, options["rounds"])
    else:
        threads = [
            BuyerThread(
                f"{seed}.{number}", [], options["customers"], options["attempts"], staff=False
            )
            for number in range(THREADS)
        ]
        with ThreadPoolExecutor(THREADS) as pool:
            outcomes = sum(pool.map(BuyerThread.run, threads), Counter[str]())
    print(json.dumps(outcomes), flush=True)  # noqa: T201
    os._exit(0)  # skip flushing telemetry


if __name__ == "__main__":
    main(*sys.argv[1:])

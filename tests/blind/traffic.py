"""Visitors during a fault, at a steady rate."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import requests

from drills.shoppers import Shopper

Visitor = Callable[[Shopper], object]
LAMP = "/products/lumen-desk-lamp/"
PATIENCE = (OSError, LookupError, requests.RequestException)  # what a broken shop does to visitors


def visit(shopper: Shopper) -> None:
    """Open a page."""
    shopper.get("/products/")


def buy(shopper: Shopper) -> None:
    """Buy a product."""
    shopper.put_in_cart(LAMP)
    shopper.order()


@contextlib.contextmanager
def traffic(shopper: Shopper, visitor: Visitor, every: float) -> Iterator[None]:
    """Let the shopper visit every `every` seconds."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(every):
            with contextlib.suppress(*PATIENCE):
                visitor(shopper)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

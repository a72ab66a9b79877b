"""One process of the shop, watched in one way, that answers requests and returns their CPU time.

The requests are prepared before and passed to gunicorn's worker one after the other; only their own
CPU time is counted, that of the process with all its threads.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import uuid
from collections import deque
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import process_time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from benchmarks.support.client import HOST, get, post

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from wsgiref.types import WSGIApplication

    from django.contrib.auth.models import User

    from products.models import Product

PAGES = ("bare", "product", "flash", "cart")
BUYERS = 48  # at most one checkout of each is prepared at a time
CSRF = "c" * 32


def serve(
    connection: Connection, environment: dict[str, str], paths: list[str], output: str
) -> None:
    """Run the named methods of a shop and return their results, until None is received.

    `output` is the file that becomes standard output.
    """
    os.environ.update(environment)
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.observed.settings"
    sys.path[:0] = paths
    with Path(output).open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
    os.sched_setaffinity(0, {int(os.environ["CORE"])})
    shop = _Shop()
    connection.send("ready")
    while (asked := connection.recv()) is not None:
        name, *arguments = asked
        connection.send(getattr(shop, name)(*arguments))
    connection.send(shop.seen())


class _Server:
    """gunicorn's own handling of the requests of a kept connection, without its queues."""

    def __init__(self, application: WSGIApplication) -> None:
        from gunicorn.config import Config  # noqa: PLC0415 - as Django, beside its use
        from gunicorn.glogging import Logger  # noqa: PLC0415 - likewise
        from gunicorn.workers.gthread import TConn, ThreadWorker  # noqa: PLC0415 - likewise

        config, address = Config(), (HOST, 80)
        self._client, server = socket.socketpair()
        self._connection = TConn(config, server, address, address)
        self._worker = ThreadWorker(1, os.getppid(), [], None, 30, config, Logger(config))
        self._worker.wsgi = application

    def answer(self, request: bytes, expected: int) -> float:
        """Answer; return the CPU seconds it took. Raises RuntimeError for another status."""
        self._client.sendall(request)
        started = process_time()
        kept = self._worker.handle(self._connection)
        spent = process_time() - started
        answer = self._client.recv(1_000_000)
        if not kept or int(answer[9:12]) != expected:
            raise RuntimeError(f"{request[:60]!r} was answered {answer[:1500]!r}, not {expected}")
        return spent


class _Backend:
    """The CPU clock of this connection's PostgreSQL process."""

    def __init__(self) -> None:
        from django.db import connection  # noqa: PLC0415

        pid = connection.connection.get_backend_pid()
        self._clock = os.open(f"/proc/{pid}/schedstat", os.O_RDONLY)

    def seconds(self) -> float:
        """Return the CPU seconds it has had."""
        return int(os.pread(self._clock, 100, 0).split()[0]) / 1e9


class _Shop:
    """The servers, and the requests to put to them."""

    def __init__(self) -> None:
        import django  # noqa: PLC0415 - what is imported depends on the environment
        from django.conf import settings  # noqa: PLC0415

        if os.environ["WATCHING"].startswith("otel"):
            _instrument(spans=os.environ["WATCHING"] == "otel-spans")
        django.setup()
        from django.core.handlers.wsgi import WSGIHandler  # noqa: PLC0415

        from benchmarks.observed.settings import FIRST, LAST  # noqa: PLC0415
        from retail.observability.logs.writer import LineWriter  # noqa: PLC0415
        from retail.observability.rows.recorder import recorder  # noqa: PLC0415

        self._server = _Server(WSGIHandler())
        full, settings.MIDDLEWARE = settings.MIDDLEWARE, [*FIRST, *LAST]
        if os.environ["WATCHING"].startswith("otel"):
            settings.MIDDLEWARE = full[:1]
        self._bare_server = _Server(WSGIHandler())
        self._products = {"flash": _product(flash=True), "cart": _product(flash=False)}
        self._buyers = [_buyer() for _ in range(BUYERS)]
        self.answered = dict.fromkeys(PAGES, 0)
        recorder.use_thread = False
        self._writers = [one for one in logging.root.handlers if isinstance(one, LineWriter)]
        for writer in self._writers:
            writer.use_thread = False
        self._backend = _Backend()
        self._page, self._prepared = "", deque[bytes]()

    def prepare(self, page: str, requests: int) -> None:
        """Make so many requests ready; what that logs is written and not counted."""
        self._page = page
        self._prepared = deque(self._request(page, number) for number in range(requests))
        self.write()

    def turn(self, requests: int) -> tuple[float, float]:
        """Answer some of the requests; return the CPU seconds of one, in both processes.

        Both are medians, without the first requests, for which other processes left cold caches.
        """
        server = self._bare_server if self._page == "bare" else self._server
        expected = 302 if self._page in self._products else 200
        own, clock = [], [self._backend.seconds()]
        for _ in range(requests):
            own.append(server.answer(self._prepared.popleft(), expected))
            clock.append(self._backend.seconds())
        self.answered[self._page] += requests
        database = [after - before for before, after in pairwise(clock)]
        cold = requests // 6
        return median(own[cold:]), median(database[cold:])

    def write(self) -> tuple[float, float]:
        """Write what threads write apart from requests; return the CPU seconds of both processes.

        These are the log lines (every tenth of a second) and the Metric rows (every second). A busy
        process answers about as many requests in that time as were prepared.
        """
        began = self._backend.seconds()
        own = self._write_lines() + self._write_rows()
        return own, self._backend.seconds() - began

    def _write_lines(self) -> float:
        started = process_time()
        for writer in self._writers:
            writer.flush()
        return process_time() - started

    @staticmethod
    def _write_rows() -> float:
        from retail.observability.rows.recorder import recorder  # noqa: PLC0415

        started = process_time()
        recorder.flush(intervals=False)
        return process_time() - started

    def _request(self, page: str, number: int) -> bytes:
        if page == "bare":
            return get("/bare/")
        if page == "product":
            return get(f"/products/{self._products['cart'].slug}/")
        user, session = self._buyers[number]
        return _checkout(user, session, self._products[page])

    def seen(self) -> dict[str, int | bool]:
        """Return how much was answered, and whether every checkout made the order it should."""
        from orders.models import Sale  # noqa: PLC0415

        ends = {"flash": "PENDING", "cart": "CONFIRMED"}
        made = {
            page: Sale.objects.filter(items__product=product, status=ends[page]).count()
            for page, product in self._products.items()
        }
        return {
            "answered": sum(self.answered.values()),
            "orders_are_right": all(made[page] == self.answered[page] for page in made),
        }


def _instrument(*, spans: bool) -> None:
    """Switch OpenTelemetry's Django instrumentation on: metrics are kept, spans are made."""
    from opentelemetry.instrumentation.django import DjangoInstrumentor  # type: ignore[import-not-found]  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # type: ignore[import-not-found]  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # type: ignore[import-not-found]  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # type: ignore[import-not-found]  # noqa: PLC0415
    from opentelemetry.trace import NoOpTracerProvider  # type: ignore[import-not-found]  # noqa: PLC0415

    DjangoInstrumentor().instrument(
        meter_provider=MeterProvider([InMemoryMetricReader()]),
        tracer_provider=TracerProvider() if spans else NoOpTracerProvider(),
    )


def _product(*, flash: bool) -> Product:
    from datetime import timedelta  # noqa: PLC0415

    from django.utils import timezone  # noqa: PLC0415

    from products.models import Category, Product, StockMovement  # noqa: PLC0415
    from products.services import stock_set  # noqa: PLC0415

    name = f"benchmark-{uuid.uuid4().hex[:8]}"
    now = timezone.now()
    sale = {"flash_price": 5, "flash_starts_at": now, "flash_ends_at": now + timedelta(days=1)}
    product = Product.objects.create(
        category=Category.objects.get_or_create(name="Benchmark", slug="benchmark")[0],
        name=name,
        slug=name,
        description="A lamp.\n\nIt gives light.",
        price=10,
        **(sale if flash else {}),
    )
    stock_set(
        product_id=product.pk, stock=1_000_000, reason=StockMovement.Reason.SEED, reference=name
    )
    product.refresh_from_db()
    return product


def _buyer() -> tuple[User, str]:
    """Make a customer who is logged in; return them and their session's key."""
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415

    user = User.objects.create(username=uuid.uuid4().hex)
    client = Client()
    client.force_login(user, "accounts.backends.AccountBackend")
    return user, client.cookies["sessionid"].value


def _checkout(user: User, session: str, product: Product) -> bytes:
    """Put `product` into the buyer's cart and return their checkout's request."""
    from cart.models import CartItem  # noqa: PLC0415
    from cart.selectors import cart_lines, fingerprint  # noqa: PLC0415
    from cart.services import cart_add, cart_of_user  # noqa: PLC0415

    cart_add(cart=cart_of_user(user_id=user.pk), product_id=product.pk, quantity=1)
    form = {
        "csrfmiddlewaretoken": CSRF,
        "delivery_name": "Bea Buyer",
        "delivery_address": "1 Example Street",
        "payment_token": "tok_good",
        "idempotency_key": str(uuid.uuid4()),
        "lines_shown": fingerprint(cart_lines(CartItem.objects.filter(cart__user_id=user.pk))),
    }
    cookies = f"csrftoken={CSRF}; sessionid={session}"
    return post("/checkout/", urlencode(form), cookies)

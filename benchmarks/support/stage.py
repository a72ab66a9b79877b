"""One shop and everything around it, ready to be measured."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from benchmarks.support import books, client, fill, open_loop, server
from benchmarks.support.buyers import Made, Wanted, buyers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_BARE = server.ROOT / "benchmarks" / "bare"
# As staff force it open; an open one by itself would let probes through.
_FORCE_OPEN = """
UPDATE payments_circuitbreaker SET state = 'open', opened_at = now(), open_since = now(),
    forced_state = 'open', forced_reason = 'benchmark', forced_by = 'benchmark',
    forced_until = now() + interval '1 hour', version = version + 1
"""
_CLOSE = """
UPDATE payments_circuitbreaker SET state = 'closed', opened_at = NULL, open_since = NULL,
    forced_state = '', forced_reason = '', forced_by = '', forced_until = NULL,
    version = version + 1
"""


@dataclass(frozen=True)
class Plan:
    """How much to run: `seconds` each, `rounds` times, with the servers of this size."""

    workers: int
    threads: int
    clients: int
    seconds: float
    rounds: int


@dataclass
class Stage:
    """A shop with its buyers, and the bare view on the same tables."""

    plan: Plan
    url: str
    made: dict[str, Made]
    port: int
    bare_port: int

    def send(self, requests: Sequence[bytes], *expected: int, clients: int = 0) -> client.Load:
        """Send requests to the shop, each once; see that the answers are the expected ones."""
        several = clients or self.plan.clients
        load = client.run(self.port, requests, clients=several, seconds=self.plan.seconds)
        return load.only(*expected)

    def send_at(self, rate: float, requests: Sequence[bytes], *expected: int) -> client.Load:
        """Send requests in an open loop, `rate` a second; see that the answers are as expected."""
        most = int(rate * self.plan.seconds)
        if most > len(requests):
            raise client.LoadError(f"{len(requests)} requests prepared, {most} are needed")
        return open_loop.run(self.port, requests[:most], rate=rate).only(*expected)

    def sell(self, name: str, *, paid: bool) -> client.Load:
        """Let a set of buyers order, and see that the books say what the answers said."""
        made = self.made[name]
        load = self.send(made.requests, 302)
        books.check(self.url, made.products, sold=load.count(302), paid=paid)
        return load

    def sell_bare(self, name: str) -> client.Load:
        """Make the same orders through the bare view."""
        made = self.made[name]
        requests = list(itertools.islice(_bare_orders(made), int(self.plan.seconds * 4000)))
        load = client.run(
            self.bare_port, requests, clients=self.plan.clients, seconds=self.plan.seconds
        ).only(302)
        books.check(self.url, made.products, sold=load.count(302))
        return load

    @contextlib.contextmanager
    def breaker_open(self) -> Iterator[None]:
        """Hold the circuit breaker open."""
        books.rows(self.url, _FORCE_OPEN)
        try:
            yield
        finally:
            books.rows(self.url, _CLOSE)


def _bare_orders(made: Made) -> Iterator[bytes]:
    for user in itertools.cycle(made.users):
        fields = {
            "product": made.products[0],
            "user": user,
            "form": uuid.uuid4(),
            "reference": f"B-{secrets.token_hex(8)}",
            "key": uuid.uuid4().hex,
        }
        yield client.post("/", urlencode(fields))


@contextlib.contextmanager
def shop_stage(  # noqa: PLR0913, PLR0917 - one for each thing a shop is made of
    plan: Plan, folder: Path, url: str, gateway_port: int, wanted: Sequence[Wanted], sales: int = 0
) -> Iterator[Stage]:
    """Prepare a shop on the empty database at `url`, with `sales` old ones, and serve it."""
    environment = server.shop_environment(
        folder, url, workers=plan.workers, threads=plan.threads,
        GATEWAY_URL=f"http://{client.HOST}:{gateway_port}",
    )  # fmt: skip
    server.prepare_shop(environment)
    if sales:
        fill.fill(url, sales)
    warm = Wanted("warm-up", buyers=200, stock=200, flash=False)
    made = buyers(environment, [warm, *wanted])
    books.vacuum(url)
    bare_port = server.free_port()
    bare = server.gunicorn(
        sys.executable, "wsgi", bare_port, workers=plan.workers, threads=plan.threads
    )
    surroundings = {**environment, "PYTHONPATH": str(server.ROOT)}
    with (
        server.shop(environment, folder / "web") as port,
        server.serve(bare, surroundings, _BARE, folder / "bare", bare_port),
    ):
        stage = Stage(plan, url, made, port, bare_port)
        try:
            stage.sell("warm-up", paid=True)
            yield stage
        except (client.LoadError, books.BooksError) as error:
            error.add_note(_complaints(folder / "web" / "output"))
            raise


def _complaints(output: Path) -> str:
    """Return what the shop last said that was not in order."""
    lines = [line for line in output.read_text().splitlines() if '"INFO"' not in line]
    return "\n".join(lines[-5:])

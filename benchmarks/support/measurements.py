"""What benchmarks/checkout.py measures, one function each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.support import books, client, pgbench
from benchmarks.support.buyers import Wanted
from benchmarks.support.statement import PGBENCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from benchmarks.support.client import Load
    from benchmarks.support.peers import Oscar, OscarBuyers
    from benchmarks.support.stage import Plan, Stage

PLENTY = 1_000_000  # in stock, where buyers are not prepared one by one
TIMES = 10  # each refused buyer asks so often, fewer than the throttle allows
RACERS, PIECES = 100, 20


@dataclass(frozen=True)
class Run:
    """One run: orders (or refusals) a second, and the latencies that were seen, in milliseconds."""

    rate: float
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


def _run(load: Load, status: int) -> Run:
    return Run(load.rate(status), *(load.milliseconds(share) for share in (0.5, 0.95, 0.99)))


@dataclass(frozen=True)
class Everything:
    """All that is measured in one round."""

    stage: Stage
    programs: Path  # PostgreSQL's
    oscar: Oscar | None = None
    oscar_buyers: dict[str, OscarBuyers] | None = None
    oscar_port: int = 0


def _flash(one: Everything, name: str) -> Run:
    return _run(one.stage.sell(name, paid=False), 302)


def _cart(one: Everything, name: str) -> Run:
    return _run(one.stage.sell(name, paid=True), 302)


def _bare(one: Everything, name: str) -> Run:
    return _run(one.stage.sell_bare(name), 302)


def _sold_out(one: Everything, name: str) -> Run:
    made = one.stage.made[name]
    load = one.stage.send(made.requests * TIMES, 409)
    books.check(one.stage.url, made.products, sold=0)
    return _run(load, 409)


def _throttled(one: Everything, name: str) -> Run:
    """One buyer of a product that is sold out, so that the cart stays full."""
    made = one.stage.made[name]
    one.stage.send(made.requests * 100, 409, 429)  # each process has a limit to reach
    load = one.stage.send(made.requests * int(one.stage.plan.seconds * 3000), 409, 429)
    books.check(one.stage.url, made.products, sold=0)
    return _run(load, 429)


def _breaker_open(one: Everything, name: str, clients: int) -> Run:
    made = one.stage.made[name]
    with one.stage.breaker_open():
        load = one.stage.send(made.requests * TIMES, 503, clients=clients)
    books.check(one.stage.url, made.products, sold=0)
    return _run(load, 503)


def _breaker_open_half(one: Everything, name: str) -> Run:
    """Measure how many refusals a second are possible, then send half as many in an open loop."""
    made = one.stage.made[name]
    share = len(made.requests) * 2 // 3  # the closed loop sends twice as many
    with one.stage.breaker_open():
        capacity = one.stage.send(made.requests[:share] * TIMES, 503).rate(503)
        load = one.stage.send_at(capacity / 2, made.requests[share:] * TIMES, 503)
    books.check(one.stage.url, made.products, sold=0)
    return _run(load, 503)


def _pgbench(one: Everything, name: str) -> Run:
    made, plan = one.stage.made[name], one.stage.plan
    done, rate = pgbench.run(
        one.programs, one.stage.url, PGBENCH, clients=plan.clients,
        transactions=int(plan.seconds * 1200) // plan.clients,
        product=made.products[0], first_user=min(made.users), last_user=max(made.users),
    )  # fmt: skip
    books.check(one.stage.url, made.products, sold=done)
    return Run(rate)


def _pgbench_shop(one: Everything, name: str) -> Run:
    """Run the shop's own statement, with a full cart for each order."""
    made, clients = one.stage.made[name], one.stage.plan.clients
    done, rate = pgbench.run(
        one.programs, one.stage.url, made.statement, clients=clients,
        transactions=len(made.users) // clients,
        before=min(made.users) - clients, step=clients, prepared=0,
    )  # fmt: skip
    books.check(one.stage.url, made.products, sold=done)
    return Run(rate)


def _oscar(one: Everything, name: str) -> Run:
    assert one.oscar  # noqa: S101 - for the type checker; it is there when this is measured
    assert one.oscar_buyers  # noqa: S101 - likewise
    buyers, plan = one.oscar_buyers[name], one.stage.plan
    if one.oscar.sold(buyers.product):  # an order sent again is answered 302, too
        raise books.BooksError(f"{name} has been used before")
    load = client.run(one.oscar_port, buyers.requests, clients=plan.clients, seconds=plan.seconds)
    sold = one.oscar.sold(buyers.product)
    if sold != load.only(302).count(302):
        raise books.BooksError(f"django-oscar answered {load.count(302)} and sold {sold}")
    return _run(load, 302)


def race(one: Everything, name: str) -> tuple[int, int]:
    """Let 100 buyers race for 20 pieces; return how many too many we sold, and django-oscar."""
    made = one.stage.made[name]
    load = one.stage.send(made.requests, 302, 409, clients=RACERS)
    books.check(one.stage.url, made.products, sold=load.count(302))
    ours = load.count(302) - PIECES
    assert one.oscar  # noqa: S101 - for the type checker; it is there when this is measured
    assert one.oscar_buyers  # noqa: S101 - likewise
    theirs = one.oscar_buyers[name]
    seconds = 10 * one.stage.plan.seconds  # time for every one of them
    client.run(one.oscar_port, theirs.requests, clients=RACERS, seconds=seconds)
    return ours, one.oscar.sold(theirs.product) - PIECES


@dataclass(frozen=True)
class Measurement:
    """Something to measure, and the buyers it needs in a run of so many seconds."""

    title: str
    measure: Callable[[Everything, str], Run]
    wanted: Callable[[str, float], Wanted]
    whose: str = "shop"  # whose buyers these are


def _buying(name: str, seconds: float, *, a_second: int, flash: bool, products: int = 1) -> Wanted:
    buyers = int(seconds * a_second)
    return Wanted(name, buyers=buyers, stock=buyers, flash=flash, products=products)


def _refused(name: str, seconds: float, *, stock: int, a_second: int = 2000) -> Wanted:
    buyers = int(seconds * a_second) // TIMES
    return Wanted(name, buyers=buyers, stock=stock, flash=True)


def _fixed(name: str, _seconds: float, *, buyers: int, stock: int) -> Wanted:
    return Wanted(name, buyers=buyers, stock=stock, flash=True)


def _carts(name: str, seconds: float) -> Wanted:
    return Wanted(name, buyers=int(seconds * 800), stock=PLENTY, flash=True, by_statement=True)


MEASUREMENTS = {
    "hot": Measurement(
        "Flash checkout, one hot product", _flash, partial(_buying, a_second=1200, flash=True)
    ),
    "oscar": Measurement(
        "django-oscar places an order",
        _oscar,
        partial(_buying, a_second=200, flash=False),
        whose="oscar",
    ),
    "bare": Measurement(
        "Bare Django view, one statement", _bare, partial(_fixed, buyers=500, stock=PLENTY)
    ),
    "cart": Measurement(
        "Cart checkout, the gateway answers at once",
        _cart,
        partial(_buying, a_second=800, flash=False),
    ),
    "many": Measurement(
        "Flash checkout, 200 products",
        _flash,
        partial(_buying, a_second=1200, flash=True, products=200),
    ),
    "sold-out": Measurement("Refused: sold out (409)", _sold_out, partial(_refused, stock=0)),
    "throttled": Measurement(
        "Refused: throttled (429)", _throttled, partial(_fixed, buyers=1, stock=0)
    ),
    "open": Measurement(
        "Refused: breaker open (503)",
        partial(_breaker_open, clients=0),
        partial(_refused, stock=PLENTY),
    ),
    "open-half": Measurement(
        "Refused: breaker open (503), open loop at half of its capacity",
        _breaker_open_half,
        partial(_refused, stock=PLENTY, a_second=3000),
    ),
    "open-alone": Measurement(
        "Refused: breaker open (503), one buyer at a time",
        partial(_breaker_open, clients=1),
        partial(_refused, stock=PLENTY),
    ),
    "pgbench": Measurement(
        "pgbench, the bare view's statement", _pgbench, partial(_fixed, buyers=500, stock=PLENTY)
    ),
    "pgbench-shop": Measurement(
        "pgbench, the shop's own statement",
        _pgbench_shop,
        _carts,
    ),
}


def needed(plan: Plan, names: Iterable[str], whose: str) -> list[Wanted]:
    """Return the buyers that the measurements need in all rounds."""
    wanted = [
        MEASUREMENTS[name].wanted(f"{name}-{number}", plan.seconds)
        for number in range(plan.rounds)
        for name in names
        if name in MEASUREMENTS and MEASUREMENTS[name].whose == whose
    ]
    if "race" in names:
        wanted += [
            Wanted(f"race-{number}", buyers=RACERS, stock=PIECES, flash=True)
            for number in range(plan.rounds)
        ]
    return wanted

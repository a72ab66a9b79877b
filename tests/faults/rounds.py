"""One round: orders stop at their steps, the blow falls, everything is started again."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from tests.faults.books import STOCK, Books, ask
from tests.faults.buyers import PRODUCTS, Buyer
from tests.faults.cells import KILLED, RESTARTED, STALLED
from tests.faults.locks import HeldProduct
from tests.faults.plans import GATEWAYS, INSIDE_RESERVE, LETTER_STEPS
from tests.running.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.faults.cells import Cell, Round
    from tests.running.support import RunningShop
    from tools.with_postgres import Postgres

SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
    "WEB_THREADS": "100",  # more than orders that stop there
    "WORKER_PROCESSES": "4",  # three stop with a letter in hand
    "GATEWAY_READ_TIMEOUT": "2",
    "BREAKER_FAIL_MAX": "1000",  # it has tests of its own; here it would hide the cells
    "THROTTLE_CHECKOUT_LIMIT": "1000",
}
# Whatever waits for a moment to come, waits no longer. Written as Django writes times on SQLite.
TIME_PASSES = (
    "UPDATE orders_payment SET due_at = '2000-01-01 00:00:00' WHERE settled_at IS NULL",
    "UPDATE django_q_ormq SET lock = '2000-01-01 00:00:00'",
)
UNFINISHED = "SELECT id FROM orders_payment WHERE status IN ('PENDING', 'UNKNOWN')"
JOBS = "SELECT id FROM django_q_ormq"


class Played(NamedTuple):
    """The books of a round: at the blow, when all had settled, after everyone's second try.

    `answered` is the status by number with which web answered the first try, if it did.
    """

    at_blow: Books
    settled: Books
    again: Books
    answered: dict[int, int | None]


@dataclass
class Stage:
    """The shop, its gateway and perhaps its database server, as the rounds play with them."""

    shop: RunningShop
    stops: Path
    server: Postgres | None
    buyers: dict[int, Buyer] = field(default_factory=dict)
    pressing: list[threading.Thread] = field(default_factory=list)
    held: list[HeldProduct] = field(default_factory=list)

    def stock(self, cells: Iterable[Cell]) -> None:
        """Give each cell a product of its own."""
        wanted = [(cell.plan.number, cell.flash) for cell in cells]
        code = PRODUCTS.format(cells=wanted, stock=STOCK)
        self.shop.run(code)

    def play(self, one: Round) -> Played:
        """Play a round. Raises AssertionError if an order does not come to its step."""
        self.shop.environment["PAYMENT_CANCEL_AFTER"] = "0" if one.cancels else "3600"
        self.shop.start("web")
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda cell: Buyer(self.shop.url, cell), one.cells))
        self.buyers = {buyer.plan.number: buyer for buyer in made}
        self._to_their_steps_in_web(one)
        if one.web_first:
            self._kill("web")
            ask(self.shop, *TIME_PASSES)
        working = [cell for cell in one.cells if cell.plan.worker]
        if working:
            self._to_their_steps_in_worker(working)
        self._gateway_does("approves")  # nobody calls it now: all stand at their steps
        at_blow = Books(self.shop)
        self._strike(one)
        self._settle()
        settled = Books(self.shop)
        self._press_again(one.cells)
        again = Books(self.shop)
        self.clear()
        answered = {number: buyer.answered for number, buyer in self.buyers.items()}
        return Played(at_blow, settled, again, answered)

    def clear(self) -> None:
        """End what runs, for the next round to begin with nothing but a gateway."""
        while self.held:
            self.held.pop().let_go()
        for name in list(self.shop.processes):
            self._kill(name)
        self._gateway_does("approves")

    def _to_their_steps_in_web(self, one: Round) -> None:
        for gateway in GATEWAYS:
            cells = [cell for cell in one.cells if cell.plan.gateway == gateway]
            if not cells:
                continue
            self._gateway_does(gateway)
            # Who stops inside a transaction comes last: on SQLite nobody else writes then.
            for inside in (False, True):
                chosen = [cell for cell in cells if (cell.plan.web == "inside settle") is inside]
                for cell in chosen:
                    self._press(cell)
                self._wait_for([cell for cell in chosen if cell.plan.web])
        ordered = [cell for cell in one.cells if not cell.plan.web]
        wait_until(lambda: self._ordered(ordered), "the orders for the worker")

    def _ordered(self, cells: list[Cell]) -> bool:
        rows = ask(self.shop, "SELECT delivery_name FROM orders_sale")
        return {cell.plan.as_name() for cell in cells} <= {row["delivery_name"] for row in rows}

    def _to_their_steps_in_worker(self, cells: list[Cell]) -> None:
        for cell in cells:  # what web left at its step must not hide the worker's
            (self.stops / f"{cell.plan.number}.reached").unlink(missing_ok=True)
        letters = [cell for cell in cells if cell.plan.worker in LETTER_STEPS]
        self._gateway_does("approves")
        self.shop.start("worker")
        self._wait_for(letters)
        for gateway in GATEWAYS:
            chosen = [cell for cell in cells if cell.plan.gateway == gateway]
            if chosen:
                self._gateway_does(gateway)
                self._tell(chosen, "turn")
                self._wait_for(chosen)

    def _press(self, cell: Cell) -> None:
        if cell.plan.web == INSIDE_RESERVE:
            self.held.append(HeldProduct(self.shop, cell.plan))
        thread = threading.Thread(target=self.buyers[cell.plan.number].press_in_vain)
        thread.start()
        self.pressing.append(thread)

    def _wait_for(self, cells: list[Cell]) -> None:
        for cell in cells:
            if cell.plan.web != INSIDE_RESERVE:
                file = self.stops / f"{cell.plan.number}.reached"
                wait_until(file.exists, f"{cell} to reach its step")
        for held in self.held:
            wait_until(held.is_waited_for, "a reservation to meet the lock")

    def _tell(self, cells: Iterable[Cell], word: str) -> None:
        for cell in cells:
            (self.stops / f"{cell.plan.number}.{word}").touch()

    def _gateway_does(self, what: str) -> None:
        gateway = self.shop.gateway
        if what == "refused":
            gateway.stop()
            return
        if gateway.popen is None:
            gateway.env["GATEWAY_PORT"] = str(urlsplit(gateway.url).port)
            gateway.url = ""
            gateway.start()
        gateway.knobs(**GATEWAYS[what])

    def _strike(self, one: Round) -> None:
        """Let the blow fall, and start again what is dead."""
        if one.blow == KILLED:
            for name in list(self.shop.processes):
                self._kill(name)
        elif one.blow == RESTARTED:
            assert self.server is not None
            self.server.restart("immediate")
        if self.held:
            self._let_go([cell for cell in one.cells if cell.plan.web == INSIDE_RESERVE])
        self._tell(one.cells, "turn")
        if one.blow == RESTARTED:
            self._tell(one.cells, "go")
        else:
            # What would be due later is due now, for the one who is about to look.
            ask(self.shop, *TIME_PASSES)
            missing = {"web", "worker"} - set(self.shop.processes)
            self.shop.start(*sorted(missing))
        if one.blow == STALLED:
            self._settle()
            self._tell(one.cells, "go")
        for thread in self.pressing:
            thread.join()
        self.pressing.clear()

    def _let_go(self, cells: list[Cell]) -> None:
        """Let statements end whose web process is dead: PostgreSQL commits them all the same."""
        while self.held:
            self.held.pop().let_go()
        wait_until(lambda: self._ordered(cells), "the orders that nobody waits for")

    def _kill(self, name: str) -> None:
        self.shop.end(name, signal.SIGKILL)

    def _settle(self) -> None:
        """Wait until nothing is left to do, for which nobody waits longer than 3 s."""
        due = time.monotonic() + 3

        def settled() -> bool:
            nonlocal due
            if not ask(self.shop, UNFINISHED) and not ask(self.shop, JOBS):
                return True
            time.sleep(0.2)
            if time.monotonic() > due:
                ask(self.shop, *TIME_PASSES)
                due = time.monotonic() + 3
            return False

        wait_until(settled, "the worker to finish everything")

    def _press_again(self, cells: Iterable[Cell]) -> None:
        """Let every buyer who saw no answer send the same form once more."""
        with ThreadPoolExecutor(4) as pool:
            pages = pool.map(lambda cell: self.buyers[cell.plan.number].press(), cells)
            statuses = {page.status_code for page in pages}
        assert statuses <= {200, 409}, statuses
        self._settle()

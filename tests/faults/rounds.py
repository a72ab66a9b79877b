"""Run a round: orders stop at their steps, the fault occurs, everything is started again."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from tests.faults.buyers import PRODUCTS, Buyer
from tests.faults.cells import HUNG, KILLED, RESTARTED, SET_BACK, SIGNALLED, STALLED
from tests.faults.locks import LockedProduct
from tests.faults.plans import EMAIL_STEPS, GATEWAYS, INSIDE_RESERVE
from tests.faults.records import STOCK, Records, query
from tests.running.support import PATIENCE, hanging, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.faults.cells import Cell, Round
    from tests.running.support import RunningShop
    from tools.with_postgres import Postgres

SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
    "WEB_THREADS": "100",  # more than the orders that stop in web
    "GATEWAY_READ_TIMEOUT": "2",
    "BREAKER_FAIL_MAX": "1000",  # an open breaker would hide most cells; it has its own tests
    "THROTTLE_CHECKOUT_LIMIT": "1000",
    "PAYMENT_SEND_WITHIN": "36000",  # however long the others take to their steps
    # The orders wait at their steps, inside transactions and for locks, until all are there.
    "DATABASE_LOCK_TIMEOUT": "900",
    "DATABASE_STATEMENT_TIMEOUT": "900",
    "DATABASE_IDLE_TIMEOUT": "900",
}
# Make all waiting payments and jobs due. Times are in Django's format on SQLite.
MAKE_DUE = (
    "UPDATE orders_payment SET due_at = '2000-01-01 00:00:00' WHERE settled_at IS NULL",
    "UPDATE django_q_ormq SET lock = '2000-01-01 00:00:00'",
    "UPDATE retail_email SET due_at = '2000-01-01 00:00:00' WHERE state = 'waiting'",
)
UNFINISHED = "SELECT id FROM orders_payment WHERE status IN ('PENDING', 'UNKNOWN')"
JOBS = "SELECT id FROM django_q_ormq"
EMAILS = "SELECT id FROM retail_email WHERE state = 'waiting'"


class RoundResult(NamedTuple):
    """The records of a round: at the fault, after recovery, after all forms were resubmitted.

    `first_statuses` has the status of each buyer's first response, if there was one.
    """

    at_fault: Records
    settled: Records
    again: Records
    first_statuses: dict[int, int | None]


@dataclass
class FaultRunner:
    """Controls the shop, its gateway and its database server during the rounds."""

    shop: RunningShop
    stops: Path
    server: Postgres | None
    buyers: dict[int, Buyer] = field(default_factory=dict)
    ordering: list[threading.Thread] = field(default_factory=list)
    locked: list[LockedProduct] = field(default_factory=list)
    make_due: bool = True  # what waits is made due, instead of waiting for it

    def create_products(self, cells: Iterable[Cell]) -> None:
        """Create a product for each cell."""
        pairs = [(cell.plan.number, cell.flash) for cell in cells]
        code = PRODUCTS.format(cells=pairs, stock=STOCK)
        self.shop.run(code)

    def run(self, current: Round) -> RoundResult:
        """Run a round. Raises AssertionError if an order does not reach its step."""
        self.shop.environment["PAYMENT_CANCEL_AFTER"] = "0" if current.cancels else "3600"
        limit = "5" if current.fault == HUNG else SETTINGS["DATABASE_STATEMENT_TIMEOUT"]
        self.shop.environment["DATABASE_STATEMENT_TIMEOUT"] = limit
        self.make_due = current.fault != SET_BACK
        self.shop.start("web")
        with ThreadPoolExecutor(4) as pool:
            buyers = list(pool.map(lambda cell: Buyer(self.shop.url, cell), current.cells))
        self.buyers = {buyer.plan.number: buyer for buyer in buyers}
        self._run_web_to_steps(current)
        if current.web_first:
            self._kill("web")
            query(self.shop, *MAKE_DUE)
        worker_cells = [cell for cell in current.cells if cell.plan.worker]
        if worker_cells:
            self._run_worker_to_steps(worker_cells)
        self._set_gateway("approves")  # nobody calls it now: all processes are paused
        at_fault = Records(self.shop)
        self._inject_fault(current)
        self._settle()
        settled = Records(self.shop)
        self._place_orders_again(current.cells)
        again = Records(self.shop)
        self.clear()
        statuses = {number: buyer.first_status for number, buyer in self.buyers.items()}
        return RoundResult(at_fault, settled, again, statuses)

    def clear(self) -> None:
        """Stop all processes except the gateway, for the next round."""
        while self.locked:
            self.locked.pop().release()
        for name in list(self.shop.processes):
            self._kill(name)
        (self.stops / "clock.set-back").unlink(missing_ok=True)
        self._set_gateway("approves")

    def _run_web_to_steps(self, current: Round) -> None:
        for gateway in GATEWAYS:
            cells = [cell for cell in current.cells if cell.plan.gateway == gateway]
            if not cells:
                continue
            self._set_gateway(gateway)
            # Orders that stop inside a transaction come last: on SQLite they block other writers.
            for inside in (False, True):
                chosen = [cell for cell in cells if (cell.plan.web == "inside settle") is inside]
                for cell in chosen:
                    self._place_order(cell)
                self._wait_for([cell for cell in chosen if cell.plan.web])
        ordered = [cell for cell in current.cells if not cell.plan.web]
        wait_until(lambda: self._ordered(ordered), "the orders for the worker")

    def _ordered(self, cells: list[Cell]) -> bool:
        rows = query(self.shop, "SELECT delivery_name FROM orders_sale")
        return {cell.plan.as_name() for cell in cells} <= {row["delivery_name"] for row in rows}

    def _run_worker_to_steps(self, cells: list[Cell]) -> None:
        for cell in cells:  # web's marker file must not be taken for the worker's
            (self.stops / f"{cell.plan.number}.reached").unlink(missing_ok=True)
        email_cells = [cell for cell in cells if cell.plan.worker in EMAIL_STEPS]
        self._set_gateway("approves")
        self.shop.start("worker")
        self._wait_for(email_cells)
        for gateway in GATEWAYS:
            chosen = [cell for cell in cells if cell.plan.gateway == gateway]
            if chosen:
                self._set_gateway(gateway)
                self._signal(chosen, "turn")
                self._wait_for(chosen)

    def _place_order(self, cell: Cell) -> None:
        if cell.plan.web == INSIDE_RESERVE:
            self.locked.append(LockedProduct(self.shop, cell.plan))
        thread = threading.Thread(target=self.buyers[cell.plan.number].place_order_ignoring_errors)
        thread.start()
        self.ordering.append(thread)

    def _wait_for(self, cells: list[Cell]) -> None:
        for cell in cells:
            if cell.plan.web != INSIDE_RESERVE:
                file = self.stops / f"{cell.plan.number}.reached"
                wait_until(file.exists, f"{cell} to reach its step")
        for product in self.locked:
            wait_until(product.is_blocking, "a reservation to wait for the lock")

    def _signal(self, cells: Iterable[Cell], name: str) -> None:
        for cell in cells:
            (self.stops / f"{cell.plan.number}.{name}").touch()

    def _set_gateway(self, behaviour: str) -> None:
        gateway = self.shop.gateway
        if behaviour == "refused":
            gateway.stop()
            return
        if gateway.popen is None:
            gateway.env["GATEWAY_PORT"] = str(urlsplit(gateway.url).port)
            gateway.url = ""
            gateway.start()
        gateway.knobs(**GATEWAYS[behaviour])

    def _inject_fault(self, current: Round) -> None:
        """Inject the fault, then restart what has died."""
        if current.fault in {KILLED, SET_BACK}:
            for name in list(self.shop.processes):
                self._kill(name)
            if current.fault == SET_BACK:
                (self.stops / "clock.set-back").touch()
        elif current.fault == HUNG:
            assert self.server is not None
            with hanging(self.server):
                self._signal(current.cells, "turn")
                self._signal(current.cells, "go")
                self._join()
        elif current.fault == SIGNALLED:
            self._stop_groups()
        elif current.fault == RESTARTED:
            assert self.server is not None
            self.server.restart("immediate")
        if self.locked:
            self._release([cell for cell in current.cells if cell.plan.web == INSIDE_RESERVE])
        self._signal(current.cells, "turn")
        if current.fault in {RESTARTED, HUNG}:
            self._signal(current.cells, "go")
        else:
            self._make_due()  # for the worker that is about to start
            missing = {"web", "worker"} - set(self.shop.processes)
            self.shop.start(*sorted(missing))
        if current.fault == STALLED:
            self._settle()
            self._signal(current.cells, "go")
        self._join()

    def _join(self) -> None:
        """Wait for the buyers' responses."""
        for thread in self.ordering:
            thread.join()
        self.ordering.clear()

    def _make_due(self) -> None:
        if self.make_due:
            query(self.shop, *MAKE_DUE)

    def _release(self, cells: list[Cell]) -> None:
        """Release the locks: PostgreSQL commits the statements although their client is dead."""
        while self.locked:
            self.locked.pop().release()
        wait_until(lambda: self._ordered(cells), "the orders of dead clients")

    def _stop_groups(self) -> None:
        """Send signals to all processes at once. Waiting orders do not end: they are cut off."""
        processes = list(self.shop.processes.values())
        self.shop.processes.clear()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
        for process in processes:
            process.wait(PATIENCE)

    def _kill(self, name: str) -> None:
        self.shop.end(name, signal.SIGKILL)

    def _settle(self) -> None:
        """Wait until the worker has nothing left to do, making everything due every 3 s."""
        due = time.monotonic() + 3

        def settled() -> bool:
            nonlocal due
            if not any(query(self.shop, rows) for rows in (UNFINISHED, JOBS, EMAILS)):
                return True
            time.sleep(0.2)
            if time.monotonic() > due:
                self._make_due()
                due = time.monotonic() + 3
            return False

        wait_until(settled, "the worker to finish everything")

    def _place_orders_again(self, cells: Iterable[Cell]) -> None:
        """Let every buyer submit the same form again."""
        with ThreadPoolExecutor(4) as pool:
            pages = pool.map(lambda cell: self.buyers[cell.plan.number].place_order(), cells)
            statuses = {page.status_code for page in pages}
        assert statuses <= {200, 409}, statuses
        self._settle()

"""Run a round of refunds: they stop at their steps, processes are killed, the shop recovers."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import requests

from tests.faults.records import QUANTITY, STOCK, query
from tests.faults.refund_cells import GATEWAYS, INSIDE, WEB_INSIDE, RefundCell
from tests.faults.refund_records import RefundRecords, gateway_rows
from tests.gateway_simulator.support import FAULTS
from tests.running.support import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.faults.refund_cells import RefundRound
    from tests.running.support import RunningShop

SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "tests.faults.refund_settings",
    "WEB_THREADS": "50",  # more than the requests that stop in web
    "GATEWAY_READ_TIMEOUT": "2",
    "BREAKER_FAIL_MAX": "1000",  # an open breaker would hide most cells; it has its own tests
    "PAYMENT_LEASE": "3600",  # however long the others take to their steps
    "DATABASE_LOCK_TIMEOUT": "900",
    "DATABASE_STATEMENT_TIMEOUT": "900",
    "DATABASE_IDLE_TIMEOUT": "900",
}
# For Django's shell, as a template: `cells` are pairs of an order's name and whether a part of it
# is refunded. A second refund of that part would fit too.
ORDERS = """
from dataclasses import replace
from decimal import Decimal
from orders.services import sale_checkout
from returns.refunds import refund_request
from tests.support import make_buyer, make_product, order_for
for name, refunds in {cells}:
    number = name.partition("/")[0]
    product = make_product("Cell", str(Decimal(1000 + int(number)) / 100), {stock})
    order = order_for(make_buyer("buyer-" + number), product, {quantity})
    sale = sale_checkout(order=replace(order, delivery_name=name))
    assert sale.status == "CONFIRMED", sale.status
    if refunds:
        payment = sale.payments.get()
        refund_request(payment=payment, amount=Decimal("5.00"), reason="goodwill")
"""
MAKE_DUE = (
    "UPDATE returns_refund SET due_at = '2000-01-01 00:00:00' "
    "WHERE status IN ('REQUESTED', 'UNKNOWN', 'PENDING')"
)
POSITION = "SELECT change FROM returns_gatewayposition"
UNSURE = {"REQUESTED", "UNKNOWN"}
UNFINISHED = UNSURE | {"PENDING"}


class RefundResult(NamedTuple):
    """The records of a round: at the fault, and after recovery."""

    at_fault: RefundRecords
    settled: RefundRecords


@dataclass
class RefundRunner:
    """Controls the shop and its gateway during the rounds."""

    shop: RunningShop
    stops: Path
    requests: list[threading.Thread] = field(default_factory=list)

    def create_orders(self, cells: Iterable[RefundCell]) -> None:
        """Create each cell's paid order, and its refund unless web is asked for it."""
        pairs = [(cell.plan.as_name(), not cell.plan.web) for cell in cells]
        self.shop.run(ORDERS.format(cells=pairs, stock=STOCK, quantity=QUANTITY))

    def run(self, current: RefundRound) -> RefundResult:
        """Run a round. Raises AssertionError if a refund does not reach its step."""
        cells = current.cells
        self.create_orders(cells)
        self._run_web_to_steps([cell for cell in cells if cell.plan.web])
        if current.in_change:
            self._run_changes_to_step(cells)
        else:
            self._run_worker_to_steps([cell for cell in cells if cell.plan.worker])
        at_fault = RefundRecords(self.shop)
        self._kill()
        self._grow_older(cells)
        self._recover(cells)
        if not current.in_change:
            self._let_later_changes_happen(cells)
        self._settle(cells)
        settled = RefundRecords(self.shop)
        self.clear()
        return RefundResult(at_fault, settled)

    def clear(self) -> None:
        """Stop all processes except the gateway, for the next round."""
        self._kill()
        (self.stops / "follow").unlink(missing_ok=True)
        self.shop.gateway.knobs()

    def _kill(self) -> None:
        for name in list(self.shop.processes):
            self.shop.end(name, signal.SIGKILL)
        for thread in self.requests:
            thread.join()
        self.requests.clear()

    def _run_web_to_steps(self, cells: list[RefundCell]) -> None:
        if cells:
            self.shop.start("web")
        # Requests that stop inside a transaction come last: on SQLite they block other writers.
        for cell in sorted(cells, key=lambda cell: cell.plan.web == WEB_INSIDE):
            thread = threading.Thread(target=self._ask_ignoring_errors, args=(cell,))
            thread.start()
            self.requests.append(thread)
            self._wait_for([cell])

    def _cancel(self, cell: RefundCell) -> str:
        """Cancel an order by web; return its refund's reference."""
        name = cell.plan.as_name()
        sales = query(self.shop, "SELECT reference, delivery_name FROM orders_sale")
        [reference] = [row["reference"] for row in sales if row["delivery_name"] == name]
        answer = requests.post(f"{self.shop.url}/cancel/{reference}/", timeout=2 * PATIENCE)
        answer.raise_for_status()
        return str(answer.json()["refund"])

    def _ask_ignoring_errors(self, cell: RefundCell) -> None:
        with contextlib.suppress(OSError):
            self._cancel(cell)

    def _by_gateway(
        self, cells: Iterable[RefundCell], *, after_fault: bool
    ) -> Iterable[tuple[str, list[RefundCell]]]:
        """Yield the cells of each gateway while it behaves as planned."""
        for name, gateway in GATEWAYS.items():
            if chosen := [cell for cell in cells if cell.plan.gateway == name]:
                self.shop.gateway.knobs(**(gateway.after if after_fault else gateway.first))
                yield name, chosen
        self.shop.gateway.knobs()

    def _run_worker_to_steps(self, cells: list[RefundCell]) -> None:
        if cells:
            self.shop.start("worker")
        outside = [cell for cell in cells if cell.plan.worker != INSIDE]
        inside = [cell for cell in cells if cell.plan.worker == INSIDE]
        for some in (outside, inside):
            for _, chosen in self._by_gateway(some, after_fault=False):
                self._signal(chosen)
                self._wait_for(chosen)

    def _run_changes_to_step(self, cells: Iterable[RefundCell]) -> None:
        self.shop.start("worker")
        for name, chosen in self._by_gateway(cells, after_fault=False):
            self._signal(chosen)
            self._wait_for_status(chosen, {GATEWAYS[name].at_fault})
        self._let_later_changes_happen(cells)
        self._wait_for(cells)

    def _wait_for(self, cells: Iterable[RefundCell]) -> None:
        for cell in cells:
            file = self.stops / f"{cell.plan.number}.reached"
            wait_until(file.exists, f"{cell} to reach its step")

    def _signal(self, cells: Iterable[RefundCell]) -> None:
        for cell in cells:
            (self.stops / f"{cell.plan.number}.turn").touch()

    def _grow_older(self, cells: Iterable[RefundCell]) -> None:
        """Let the time pass that the gateway's behaviour is about, and every wait."""
        for cell in cells:
            (self.stops / f"{cell.plan.number}.turn").unlink(missing_ok=True)
            if minutes := GATEWAYS[cell.plan.gateway].aged:
                name = cell.plan.as_name()
                self.shop.run(
                    "from datetime import timedelta; from returns.models import Refund\n"
                    f"sent = Refund.objects.filter(payment__sale__delivery_name={name!r})\n"
                    "sent.exclude(first_sent_at=None).update("
                    f"first_sent_at=F('first_sent_at') - timedelta(minutes={minutes}))"
                )
        query(self.shop, MAKE_DUE)

    def _recover(self, cells: Iterable[RefundCell]) -> None:
        """Start what was killed, ask web again (twice), and let the worker go on."""
        asked = [cell for cell in cells if cell.plan.web]
        if asked:
            self.shop.start("web")
        for cell in asked:
            first, second = self._cancel(cell), self._cancel(cell)
            assert first == second, f"{cell}: two refunds of one cancellation"
        self.shop.start("worker")  # it claims all in one batch
        for _, chosen in self._by_gateway(cells, after_fault=True):
            self._signal(chosen)
            self._wait_for_status(chosen, set(), but=UNSURE)
        (self.stops / "follow").touch()

    def _statuses(self, cells: Iterable[RefundCell]) -> list[str]:
        records = RefundRecords(self.shop)
        return [row["status"] for cell in cells for row in records.entry(cell).refunds]

    def _wait_for_status(
        self, cells: Iterable[RefundCell], only: set[str], but: set[str] | None = None
    ) -> None:
        def there() -> bool:
            statuses = set(self._statuses(cells))
            return statuses <= only if only else not statuses & (but or set())

        # Nothing is made due meanwhile: that would end the leases of waiting refunds.
        wait_until(there, f"the refunds of {[str(cell) for cell in cells]}")

    def _let_later_changes_happen(self, cells: Iterable[RefundCell]) -> None:
        """Change the state of the gateway's refunds as banks do, and let the shop read it."""
        records = RefundRecords(self.shop)
        for cell in cells:
            if state := GATEWAYS[cell.plan.gateway].later:
                for row in records.entry(cell).at_gateway:
                    url = f"{self.shop.gateway.url}/refunds/{row['refund_id']}/state"
                    body = {"state": state}
                    requests.post(url, json=body, headers=FAULTS, timeout=30).raise_for_status()
        (self.stops / "follow").touch()

    def _settle(self, cells: Iterable[RefundCell]) -> None:
        """Wait until the shop has read all changes and finished all refunds.

        Makes all refunds due every 3 s.
        """
        due = time.monotonic()

        def settled() -> bool:
            nonlocal due
            last = gateway_rows(self.shop, "changes")[-1]["id"]
            position = [row["change"] for row in query(self.shop, POSITION)]
            if position == [last] and not set(self._statuses(cells)) & UNFINISHED:
                return True
            if time.monotonic() > due:
                query(self.shop, MAKE_DUE)
                due = time.monotonic() + 3
            time.sleep(0.2)
            return False

        wait_until(settled, "the worker to finish everything")

    def age_the_gateways_refunds(self) -> None:
        """Date them back: the audit compares what did not change within the last minutes."""
        path = self.shop.gateway.folder / "ledger.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as ledger, ledger:
            ledger.execute("UPDATE refunds SET updated_at = '2026-01-01T00:00:00.000+00:00'")

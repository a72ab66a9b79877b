"""Any signal in any order to the leader or its whole process group stops worker and web."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.running.conftest import OpenShop
from tests.running.support import PATIENCE, RunningShop, wait_until

TERM, INT, QUIT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP
USR1, USR2 = signal.SIGUSR1, signal.SIGUSR2
# Seldom sent, but they end a process as well: by timers, limits, power supplies, init programs.
OTHERS = (
    *(signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR),
    *(signal.SIGSTKFLT, signal.SIGXCPU, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1)),
)
SETTINGS = "tests.running.signalled.settings"
LAMP = "/products/lumen-desk-lamp/"
FLASH = "/products/aurora-wireless-headphones/"  # its payment is made by the worker
ORDERS = "[[payment.sale.status, payment.status] for payment in Payment.objects.all()]"
QUEUED = "__import__('django_q').models.OrmQ.objects.count()"
DONE = "__import__('django_q').models.Success.objects.filter(name='nap').count()"


def _ids(signals: Sequence[int]) -> str:
    if signals is OTHERS:
        return "others"
    return "-".join(signal.Signals(number).name for number in signals)


def _group(leader: int) -> set[int]:
    """Return the living processes of a process group."""
    members = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(group) == leader and state != "Z":
                members.add(int(stat.parent.name))
    return members


def _stop(shop: RunningShop, name: str, send: Callable[[int, int], None], *signals: int) -> int:
    """Send signals at once, and return the exit status. All processes must be gone then."""
    process = shop.processes.pop(name)
    for number in signals:
        with contextlib.suppress(ProcessLookupError):  # it may be gone already
            send(process.pid, number)
    try:
        status = process.wait(PATIENCE)
        wait_until(lambda: not _group(process.pid), f"all processes of {name} to end")
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return status


def _begin_nap(shop: RunningShop, seconds: float) -> None:
    """Have the worker run a job; return when it runs."""
    begun = shop.folder / "begun"
    begun.unlink(missing_ok=True)
    shop.run(
        f"from tests.running.signalled.tasks import nap\nnap.enqueue({str(begun)!r}, {seconds})"
    )
    wait_until(begun.exists, "the job to begin")


def _logged(shop: RunningShop, event: str) -> list[dict[str, Any]]:
    lines = shop.log("logs/application.log")
    return [line["extra"] for line in lines if line["message"] == f"event={event}"]


def _order(shop: RunningShop, path: str) -> threading.Thread:
    """Order something in a thread of its own, without caring for the answer."""
    shopper = shop.shopper()
    shopper.put_in_cart(path)
    page = shopper.get("/checkout/")
    fields = {"delivery_name": "Sam", "delivery_address": "1 Street", "payment_token": "tok_good"}

    def submit() -> None:
        with contextlib.suppress(requests.RequestException):
            shopper.submit(page, "/checkout/", **fields)

    thread = threading.Thread(target=submit)
    thread.start()
    return thread


def _settled_once(shop: RunningShop) -> None:
    """Let a new worker finish the orders; each was charged once at most, and nothing is wrong."""
    if "worker" not in shop.processes:
        shop.start("worker")
    shop.settle()
    approved = [row for row in shop.charges() if row["status"] == "approved"]
    assert shop.query(ORDERS) == [["CONFIRMED", "COMPLETED"]] * len(approved)
    shop.manage("audit", "--full")  # fails if it finds a violation


@pytest.mark.parametrize(
    "signals",
    [
        *((TERM,), (INT,), (QUIT,), (HUP,), (USR1,), (USR2,)),
        *((HUP, INT, TERM, QUIT), (TERM,) * 5, OTHERS),
    ],
    ids=_ids,
)
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["leader", "group"])
def test_the_worker_stops_after_its_running_job(
    open_shop: OpenShop, send: Callable[[int, int], None], signals: Sequence[int]
) -> None:
    shop = open_shop(DJANGO_SETTINGS_MODULE=SETTINGS)
    shop.start("worker")
    _begin_nap(shop, 1)
    assert _stop(shop, "worker", send, *signals) == 0
    assert (shop.query(DONE), shop.query(QUEUED)) == (1, 0)
    assert _logged(shop, "worker.stopped") == [{"as_told": True, "finished": True}]


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["leader", "group"])
def test_a_job_that_does_not_end_is_given_back(
    open_shop: OpenShop, send: Callable[[int, int], None]
) -> None:
    shop = open_shop(DJANGO_SETTINGS_MODULE=SETTINGS)
    shop.start("worker")
    _begin_nap(shop, 3600)
    assert _stop(shop, "worker", send, TERM, TERM) == 0
    assert (shop.query(DONE), shop.query(QUEUED)) == (0, 1)
    assert [line["task"] for line in _logged(shop, "job.killed")] == ["nap"]
    assert _logged(shop, "worker.stopped") == [{"as_told": True, "finished": False}]


def test_a_charge_that_does_not_end_is_finished_by_the_next_worker(open_shop: OpenShop) -> None:
    patience = str(2 * PATIENCE)
    shop = open_shop()
    shop.start("web")
    shop.gateway.knobs(hold=True)
    shop.start("worker", GATEWAY_READ_TIMEOUT=patience, PAYMENT_LEASE="1000000")
    _order(shop, FLASH).join()
    wait_until(lambda: shop.gateway.held() == 1, "the charge to be held")
    assert _stop(shop, "worker", os.killpg, TERM) == 0
    shop.gateway.knobs()
    assert shop.query(ORDERS) == [["PENDING", "PENDING"]]
    _settled_once(shop)
    assert len(shop.charges()) == 1


def test_if_the_leader_is_killed_the_others_finish_and_leave_its_port(open_shop: OpenShop) -> None:
    shop = open_shop(DJANGO_SETTINGS_MODULE=SETTINGS)
    shop.start("worker")
    _begin_nap(shop, 1)
    assert _stop(shop, "worker", os.kill, signal.SIGKILL) == -signal.SIGKILL
    assert (shop.query(DONE), shop.query(QUEUED)) == (1, 0)
    shop.start("worker")
    _begin_nap(shop, 0)


def test_a_new_worker_starts_while_a_dead_leaders_job_still_runs(open_shop: OpenShop) -> None:
    shop = open_shop(DJANGO_SETTINGS_MODULE=SETTINGS)
    shop.start("worker")
    _begin_nap(shop, 3600)
    leader = shop.processes.pop("worker")
    leader.kill()
    leader.wait(PATIENCE)
    shop.start("worker")
    wait_until(lambda: not _group(leader.pid), "the dead leader's processes to end")


def test_if_the_queue_dies_the_worker_exits_so_that_it_is_started_again(
    open_shop: OpenShop,
) -> None:
    shop = open_shop()
    shop.start("worker")
    leader = shop.processes["worker"].pid
    [queue] = [
        pid for pid in _group(leader)
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1] == str(leader)
    ]  # fmt: skip
    assert _stop(shop, "worker", lambda _, number: os.kill(queue, number), signal.SIGKILL) == 1


@pytest.mark.parametrize(
    "signals",
    [(TERM,), (INT,), (QUIT,), (TERM, INT, QUIT), (TERM,) * 5],
    ids=_ids,
)
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["leader", "group"])
def test_web_stops_and_its_order_is_finished_once(
    open_shop: OpenShop, send: Callable[[int, int], None], signals: Sequence[int]
) -> None:
    shop = open_shop(GATEWAY_READ_TIMEOUT="2")
    shop.start("web")
    shop.gateway.knobs(hold=True)
    ordering = _order(shop, LAMP)
    wait_until(lambda: shop.gateway.held() == 1, "the charge to be held")
    assert _stop(shop, "web", send, *signals) == 0
    ordering.join()
    shop.gateway.knobs()
    _settled_once(shop)


def test_after_a_hangup_web_goes_on(open_shop: OpenShop) -> None:
    shop = open_shop()
    shop.start("web")
    before = _group(shop.processes["web"].pid)

    def renewed() -> bool:
        return len(before & _group(shop.processes["web"].pid)) == 1  # only the leader

    os.killpg(shop.processes["web"].pid, HUP)
    wait_until(renewed, "new processes")
    _order(shop, LAMP).join()
    assert shop.query(ORDERS) == [["CONFIRMED", "COMPLETED"]]
    assert _stop(shop, "web", os.killpg, TERM) == 0

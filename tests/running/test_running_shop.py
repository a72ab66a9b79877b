import contextlib
import signal
import threading
from collections import Counter
from typing import Any

from drills.shoppers import form_of
from tests.gateway_simulator.support import MEASURED
from tests.running.conftest import OpenShop
from tests.running.support import PATIENCE, wait_until

LAMP = "/products/lumen-desk-lamp/"
FLASH = "/products/aurora-wireless-headphones/"  # its payment is made by the worker
STOCK = "Product.objects.get(slug='lumen-desk-lamp').stock"
SALE = "Sale.objects.get()"
PAYMENT = "Payment.objects.get()"
LEDGER = (
    "[[m.quantity, m.reason] for m in "
    "StockMovement.objects.filter(product__slug='lumen-desk-lamp').order_by('pk')]"
)


def test_an_order_can_be_followed_through_all_processes_by_its_request_id(
    open_shop: OpenShop,
) -> None:
    shop = open_shop(TRUSTED_PROXIES="127.0.0.0/8")
    shop.start("web", "worker", **MEASURED)
    shopper = shop.shopper()
    shopper.put_in_cart(FLASH)
    shopper.session.headers["X-Request-ID"] = "follow-this-order"
    page = shopper.order()
    del shopper.session.headers["X-Request-ID"]
    assert page.status_code == 200
    wait_until(
        lambda: "Thank you" in shopper.get(page.url.removeprefix(shop.url)).text,
        "the worker to settle the payment",
    )

    def lines() -> list[dict[str, Any]]:
        log = shop.log("logs/application.log")
        return [line for line in log if line["request_id"] == "follow-this-order"]

    # Made by the order's transaction: the letter goes out under the id of the request.
    wait_until(
        lambda: any(
            line["extra"].get("kind") == "order_confirmed"
            for line in lines()
            if line["message"] == "event=email.ended"
        ),
        "the order's e-mail",
    )
    expected = {"event=http.request", "event=payment.attempt", "event=payment.settled"}
    wait_until(lambda: expected <= {line["message"] for line in lines()}, "all lines of the order")
    shop.end("worker")
    shop.end("web")
    gateway = [
        line["message"] for line in shop.log("logs/gateway.log")
        if line["request_id"] == "follow-this-order"
    ]  # fmt: skip
    assert gateway == ["event=gateway.charge"]
    for name in ("web", "worker"):
        assert shop.log(f"{name}.stdout")


def test_web_killed_between_reserve_and_settle_is_finished_by_the_worker(
    open_shop: OpenShop,
) -> None:
    shop = open_shop(PAYMENT_RESEND_AFTER="1")
    # It must not give the call up before it is killed, however slow the machine.
    shop.start("web", GATEWAY_READ_TIMEOUT=str(2 * PATIENCE))
    shopper = shop.shopper()
    shopper.put_in_cart(LAMP, 2)
    shop.gateway.knobs(hold=True)
    page = shopper.get("/checkout/")
    fields = {"delivery_name": "Sam", "delivery_address": "1 Street", "payment_token": "tok_good"}
    sending = threading.Thread(
        target=lambda: _ignore(lambda: shopper.submit(page, "/checkout/", **fields))
    )
    sending.start()
    wait_until(lambda: shop.gateway.held() == 1, "the charge to be held")
    assert shop.query(f"[{SALE}.status, {PAYMENT}.status]") == ["PENDING", "PENDING"]
    shop.end("web", signal.SIGKILL)
    sending.join()
    assert shop.gateway.held() == 1
    assert shop.charges() == []
    assert shop.query(f"[{SALE}.status, {PAYMENT}.status]") == ["PENDING", "PENDING"]
    assert shop.query(LEDGER) == [[300, "seed"], [-2, "sale"]]
    shop.gateway.knobs()
    wait_until(shop.charges, "the charge of the killed process")
    shop.start("web", "worker")
    wait_until(lambda: shop.query(f"{SALE}.status") == "CONFIRMED", "the worker to settle")
    assert shop.query(f"{PAYMENT}.status") == "COMPLETED"
    assert shop.query(STOCK) == 298
    assert shop.query(LEDGER) == [[300, "seed"], [-2, "sale"]]
    [charge] = shop.charges()
    assert (charge["status"], charge["key"]) == ("approved", shop.query(f"{PAYMENT}.key"))
    assert charge["calls"] == 2  # the released one of the killed process, and the worker's
    assert charge["amount"] == "119.80"


def _ignore(call: object) -> None:
    """Call what a killed server will not answer."""
    with contextlib.suppress(OSError):
        call()  # type: ignore[operator]


def test_a_gateway_that_is_off_opens_the_breaker_and_one_that_is_back_closes_it(
    open_shop: OpenShop,
) -> None:
    rest = 3600  # seconds the breaker stays open, so that no test races against it
    shop = open_shop(
        BREAKER_RESET_SECONDS=str(rest), PAYMENT_RESEND_AFTER="3600", PAYMENT_CANCEL_AFTER="7200"
    )
    shop.start("web")
    first, second = shop.shopper(), shop.shopper()
    shop.gateway.knobs(off=True)
    for _ in range(3):  # two tries each, and the fifth failure in a row opens the breaker
        first.put_in_cart(LAMP)
        assert "You won't be charged twice" in first.order().text
    second.put_in_cart(LAMP)
    refused = second.order()
    assert refused.status_code == 503
    assert 1 <= int(refused.headers["Retry-After"]) <= rest
    assert "You haven't been charged, and your cart is saved" in refused.text
    assert form_of(second.get("/cart/"), "/cart/update/")["quantity"] == "1"
    assert shop.query(STOCK) == 300 - 3
    shop.gateway.knobs()
    shop.start("worker")
    shop.settle()
    wait_until(
        lambda: shop.metric('retail_circuit_breaker_state{breaker="payments",state="closed"}'),
        "the breaker to be shown closed",
    )
    assert shop.query("Payment.objects.exclude(status='COMPLETED').count()") == 0
    assert {row["status"] for row in shop.charges()} == {"approved"}
    assert len(shop.charges()) == shop.query("Sale.objects.filter(status='CONFIRMED').count()")


def test_several_web_processes_tell_one_total_and_outlive_each_other(open_shop: OpenShop) -> None:
    shop = open_shop(WEB_CONCURRENCY="3")
    shop.start("web")
    for _ in range(6):
        shopper = shop.shopper()
        shopper.put_in_cart(LAMP)
        shopper.session.close()
        assert "Thank you" in shopper.order().text
    confirmed = {shop.metric('retail_orders_total{outcome="confirmed"}') for _ in range(10)}
    assert confirmed == {6.0}
    assert shop.metric('retail_circuit_breaker_state{breaker="payments",state="closed"}') == 1


def test_a_clean_stop_writes_what_was_still_in_memory(open_shop: OpenShop) -> None:
    shop = open_shop(METRIC_FLUSH_SECONDS="3600", LOG_FLUSH_SECONDS="3600")
    shop.start("web")
    shopper = shop.shopper()
    shopper.put_in_cart(LAMP)
    shopper.order()
    log = shop.folder / "logs" / "application.log"
    assert not log.exists() or "event=payment.settled" not in log.read_text()
    metrics = "__import__('retail.models').models.Metric.objects"
    assert shop.query(f"{metrics}.count()") == 0
    assert shop.end("web") == 0
    for path in ("logs/application.log", "web.stdout"):
        lines = shop.log(path)
        events = Counter(line["message"] for line in lines)
        assert (events["event=payment.attempt"], events["event=payment.settled"]) == (1, 1)
        assert "/checkout/" in {line["extra"].get("path") for line in lines}
        assert "Shutting down: Master" in {line["extra"].get("text") for line in lines}
    kinds = shop.query(f"sorted({metrics}.values_list('metric_type', flat=True))")
    assert kinds == [
        "avg_response_time",
        "circuit_breaker_state",
        "error_rate",
        "orders_per_day",
        "payment_success_rate",
    ]

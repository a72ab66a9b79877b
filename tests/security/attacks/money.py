"""To have goods without paying, or to have others not pay."""

from __future__ import annotations

import requests

from tests.security.target import LAMP, TIMEOUT, Target, refused

DEFAULTS = ("dev-gateway-key", "dev-faults-token", "", "admin", "test")


def test_cards(target: Target) -> None:
    """Buy with cards that stand for no money."""
    for card in ("tok_good", "TOK_GOOD", "tok_slow", " tok_good", "tok_declined"):
        shopper = target.customer()
        shopper.put_in_cart(LAMP)
        page = shopper.order(card)
        refused(f"an order was paid with {card}", "Thank you" not in page.text)
        refused(f"an order was made with {card}", "VT-" not in shopper.get("/orders/").text)


def other_prices(target: Target) -> None:
    """Change price and quantity in the form."""
    shopper = target.customer()
    product = shopper.get(LAMP)
    for quantity in ("0", "-1", "0.5", "1e9", "99999999999999999999", "²", ""):
        shopper.submit(product, "/cart/add/", quantity=quantity)
    refused("an impossible quantity is in the cart", "/checkout/" not in shopper.get("/cart/").text)
    shopper.submit(product, "/cart/add/", quantity="1", price="0.01", unit_price="0.01")
    refused("the price was the form's", "0.01" not in shopper.get("/cart/").text)


def others_orders(target: Target) -> None:
    """Look at another customer's order."""
    if not target.card:
        return
    buyer = target.customer()
    buyer.put_in_cart(LAMP)
    page = buyer.order(target.card)
    refused("(the buyer's own order was not made)", "Thank you" in page.text)
    path = page.url.removeprefix(target.url)
    for thief in (target.customer(), target.visitor()):
        for address in (path, f"{path}status/"):
            answer = thief.session.get(target.url + address, timeout=TIMEOUT, allow_redirects=False)
            refused(f"{address} was shown", answer.status_code in {302, 404})
            refused(f"{address} says whose it is", "Sam Shopper" not in answer.text)


def gateway_defaults(target: Target) -> None:
    """Charge cards, or switch payments off, with the gateway's default secrets."""
    if not target.gateway:
        return
    body = {"amount": "1.00", "currency": "EUR", "token": "tok_good", "reference": "VT-X"}
    for secret in DEFAULTS:
        headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "mallory"}
        for method, path, sent in (
            ("PUT", "/faults", {"decline": 1.0}),
            ("DELETE", "/faults", None),
            ("POST", "/v1/charges", body),
            ("GET", "/v1/charges", None),
        ):
            answer = requests.request(
                method, target.gateway + path, json=sent, headers=headers, timeout=TIMEOUT
            )
            refused(f"{method} {path} with {secret!r}", answer.status_code in {401, 403, 404})


ATTACKS = (test_cards, other_prices, others_orders, gateway_defaults)

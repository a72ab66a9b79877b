"""Log lines on their way from the shop's files into Loki."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections import Counter
from typing import Any
from urllib.parse import urlencode

from tests.stack.stack import check, compose, customer, order, wait_for

SOON = 15  # seconds from an order to its lines
AWAY = 120  # seconds without Loki
PAUSE = 0.4  # between orders: their lines must fit into one answer of Loki
MOST = 5000
FILES = ("application.log", "worker/application.log", "gateway/gateway.log")


def loki(path: str, **params: str | int) -> Any:
    """Return Loki's answer; it has no published port, so Prometheus's container asks."""
    url = f"http://loki:3100{path}?{urlencode(params)}"
    return json.loads(compose("exec", "-T", "prometheus", "wget", "-q", "-T", "20", "-O", "-", url))


def lines(expr: str) -> list[tuple[dict[str, str], str]]:
    """Return the lines of the last hour, each with its labels and structured metadata."""
    start = time.time_ns() - 3600 * 10**9
    answer = loki("/loki/api/v1/query_range", query=expr, limit=MOST, start=start)
    found = [(s["stream"], line) for s in answer["data"]["result"] for _, line in s["values"]]
    if len(found) == MOST:
        sys.exit("NOT SO: Loki's answer is whole")
    return found


def found_by_request_id() -> None:
    """Order, and find what the shop wrote about it."""
    print("the lines of one request")
    request_id = f"stack-{secrets.token_hex(6)}"
    page = order(customer(), request_id)
    reference = page.url.rstrip("/").rpartition("/")[2]
    began = time.monotonic()

    def of_the_order() -> list[dict[str, str]]:
        asked = f'{{service_name="web", logger="retail.orders"}} | request_id="{request_id}"'
        return [labels for labels, _ in lines(asked) if labels.get("order_ref") == reference]

    found = wait_for("the order's lines in Loki", of_the_order, SOON)
    print(f"  {len(found)} lines of {reference} in Loki after {time.monotonic() - began:.1f} s")
    one = found[0]
    told = tuple(one[name] for name in ("service_name", "level", "logger", "request_id"))
    check(f"labels: {told}", told == ("web", "INFO", "retail.orders", request_id))
    gateway = f'{{service_name="gateway"}} | request_id="{request_id}"'
    wait_for("the gateway's lines of the same request", lambda: lines(gateway), SOON)


def written(prefix: str) -> Counter[str]:
    """Return the lines in the shop's files that hold the prefix of our request ids."""
    script = "; ".join(f"cat /app/logs/{name}*" for name in FILES)
    text = compose("exec", "-T", "web", "sh", "-c", script)
    return Counter(line for line in text.splitlines() if prefix in line)


def away_for_two_minutes() -> None:
    """Stop Loki while orders go on: no order fails, and after its return no line is missing."""
    print(f"Loki away for {AWAY} s")
    prefix = f"away-{secrets.token_hex(4)}"
    compose("stop", "loki")
    sent: list[str] = []
    shopper, until = customer(), time.monotonic() + AWAY
    while time.monotonic() < until:
        sent.append(f"{prefix}-{len(sent)}")
        page = order(shopper, sent[-1])
        if "Thank you" not in page.text:
            sys.exit(f"NOT SO: an order without Loki: {page.status_code} {page.text[:300]}")
        time.sleep(PAUSE)
    check(f"{len(sent)} orders without Loki, and not one failed", sent)
    compose("start", "loki")
    everywhere = f'{{service_name=~".+"}} |= "{prefix}"'

    def shipped() -> Counter[str]:
        return Counter(line for _, line in lines(everywhere))

    wait_for("every line is in Loki", lambda: shipped() == written(prefix))
    found = shipped()
    ids = {json.loads(line)["request_id"] for line in found}
    check("every order's request id is in Loki", set(sent) <= ids)
    check(f"{found.total()} lines, none missing and none twice", found == written(prefix))

"""Log shipping: from the shop's log files into Loki."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections import Counter
from typing import Any
from urllib.parse import urlencode

from tests.stack.stack import check, compose, customer, order, wait_for

SOON = 15  # seconds from an order to its lines in Loki
OUTAGE = 120  # seconds without Loki
PAUSE = 0.4  # between orders: their lines must fit into one response of Loki
MOST = 5000  # lines in one response
FILES = ("application.log", "worker/application.log", "gateway/gateway.log", "proxy.log")


def loki(path: str, **params: str | int) -> Any:
    """Return Loki's response. Loki publishes no port, so the query runs in another container."""
    url = f"http://loki:3100{path}?{urlencode(params)}"
    return json.loads(compose("exec", "-T", "prometheus", "wget", "-q", "-T", "20", "-O", "-", url))


def lines(expr: str) -> list[tuple[dict[str, str], str]]:
    """Return the lines of the last hour, each with its labels and structured metadata."""
    start = time.time_ns() - 3600 * 10**9
    response = loki("/loki/api/v1/query_range", query=expr, limit=MOST, start=start)
    rows = [(s["stream"], line) for s in response["data"]["result"] for _, line in s["values"]]
    if len(rows) == MOST:
        sys.exit("FAILED: Loki's response is complete")
    return rows


def found_by_request_id() -> None:
    """Place an order and find its log lines."""
    print("log lines of one request")
    request_id = f"stack-{secrets.token_hex(6)}"
    page = order(customer(), request_id)
    reference = page.url.rstrip("/").rpartition("/")[2]
    began = time.monotonic()

    def of_the_order() -> list[dict[str, str]]:
        expr = f'{{service_name="web", logger="retail.orders"}} | request_id="{request_id}"'
        return [labels for labels, _ in lines(expr) if labels.get("order_ref") == reference]

    lines_of_order = wait_for("the order's lines are in Loki", of_the_order, SOON)
    waited = time.monotonic() - began
    print(f"  {len(lines_of_order)} lines of {reference} in Loki after {waited:.1f} s")
    first = lines_of_order[0]
    labels = tuple(first[name] for name in ("service_name", "level", "logger", "request_id"))
    check(f"labels: {labels}", labels == ("web", "INFO", "retail.orders", request_id))
    gateway = f'{{service_name="gateway"}} | request_id="{request_id}"'
    wait_for("the gateway's lines of the request are in Loki", lambda: lines(gateway), SOON)
    proxy = f'{{service_name="proxy", logger="proxy.requests"}} | request_id="{request_id}"'
    wait_for("the proxy's line of the request is in Loki", lambda: lines(proxy), SOON)


def written(prefix: str) -> Counter[str]:
    """Return the lines in the shop's log files that contain the prefix of our request ids."""
    script = "; ".join(f"cat /app/logs/{name}*" for name in FILES)
    text = compose("exec", "-T", "web", "sh", "-c", script)
    return Counter(line for line in text.splitlines() if prefix in line)


def outage_of_loki() -> None:
    """Stop Loki while orders continue: no order fails, and no line is missing afterwards."""
    print(f"Loki down for {OUTAGE} s")
    prefix = f"outage-{secrets.token_hex(4)}"
    compose("stop", "loki")
    sent: list[str] = []
    shopper, until = customer(), time.monotonic() + OUTAGE
    while time.monotonic() < until:
        sent.append(f"{prefix}-{len(sent)}")
        page = order(shopper, sent[-1])
        if "Thank you" not in page.text:
            sys.exit(f"FAILED: an order without Loki: {page.status_code} {page.text[:300]}")
        time.sleep(PAUSE)
    check(f"{len(sent)} orders without Loki, none failed", sent)
    compose("start", "loki")
    everywhere = f'{{service_name=~".+"}} |= "{prefix}"'

    def shipped() -> Counter[str]:
        return Counter(line for _, line in lines(everywhere))

    wait_for("every line is in Loki", lambda: shipped() == written(prefix))
    stored = shipped()
    ids = {json.loads(line)["request_id"] for line in stored}
    check("every order's request id is in Loki", set(sent) <= ids)
    check(f"{stored.total()} lines, none missing or duplicated", stored == written(prefix))

"""What the shop's own pages say."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from tests.blind.stage import TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.shoppers import Shopper

PATIENCE = 60  # seconds until a page counts as not answering
HEADLINE = re.compile(r'class="(?:verdict|qs-board) is-(\w+)".*?<h2[^>]*>(.*?)</h2>', re.DOTALL)


@dataclass(frozen=True)
class Said:
    """What a page says, and whether it claims that all is well."""

    text: str
    green: bool


def _page(staff: Shopper, path: str) -> Said:
    """Return the headline of an in-app page."""
    try:
        answer = staff.session.get(staff.url + path, timeout=PATIENCE)
    except requests.RequestException:
        return Said("no answer", green=False)
    if answer.status_code != requests.codes.ok:
        return Said(str(answer.status_code), green=False)
    found = HEADLINE.search(answer.text)
    assert found, f"{path} has no headline"
    text = html.unescape(re.sub(r"<[^>]+>|\s+", " ", found[2])).strip()
    return Said(text, green=found[1] == "good")


def _api(staff: Shopper) -> Said:
    """Return the state that the API reports."""
    headers = {"Authorization": f"Bearer {TOKENS['METRICS_TOKEN']}"}
    try:
        answer = requests.get(f"{staff.url}/metrics/api/?days=1", headers=headers, timeout=PATIENCE)
    except requests.RequestException:
        return Said("no answer", green=False)
    if answer.status_code != requests.codes.ok:
        return Said(str(answer.status_code), green=False)
    state = answer.json()["state"]
    return Said(state, green=state == "good")


def _readyz(staff: Shopper) -> Said:
    """Return what /readyz reports."""
    try:
        answer = requests.get(f"{staff.url}/readyz", timeout=PATIENCE)
    except requests.RequestException:
        return Said("no answer", green=False)
    body = answer.json()
    wrong = [name for name, state in body["checks"].items() if state != "ok"]
    text = " ".join((str(answer.status_code), body["status"], *wrong))
    return Said(text, green=body["status"] == "ready")


ALL: dict[str, Callable[[Shopper], Said]] = {
    "dashboard": lambda staff: _page(staff, "/metrics/dashboard/"),
    "API": _api,
    "quality page": lambda staff: _page(staff, "/metrics/quality-scenarios/"),
    "/readyz": _readyz,
}

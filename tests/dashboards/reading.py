"""What a page says, and what the API does."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.test import Client

PAGE = "/metrics/dashboard/"
RANGES = ("1h", "24h", "7d", "30d", "90d")


def plain(markup: str) -> str:
    """Return what markup says."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def seen(client: Client, name: str = "24h") -> str:
    """Return what the dashboard's main part says, for a range."""
    response = client.get(PAGE, {"range": name})
    assert response.status_code == 200
    main = response.content.decode().partition("<main")[2].partition("</main>")[0]
    without_data = re.sub(r"<script.*?</script>", "", main, flags=re.DOTALL)
    return plain(f"<{without_data}")


def cards(client: Client, name: str = "24h") -> dict[str, str]:
    """Return what each card says, by its title."""
    page = client.get(PAGE, {"range": name}).content.decode()
    found = re.findall(r'<li class="key is-(\w+)">(.*?)</li>', page, flags=re.DOTALL)
    said = {}
    for state, markup in found:
        title = re.findall(r"<h3>(.*?)</h3>", markup)[0]
        without = re.sub(r'<dt class="visually-hidden">.*?</dt>', "", markup)
        said[title] = f"{state}: {plain(without).removeprefix(title).strip()}"
    return said


def checks(client: Client) -> dict[str, str]:
    """Return how each part is, by its name."""
    page = client.get(PAGE).content.decode()
    found = re.findall(r'<li class="check is-(\w+)">(.*?)</li>', page, flags=re.DOTALL)
    said = {}
    for state, markup in found:
        name = plain(re.findall(r"<h3>(.*?)</h3>", markup)[0])
        said[name] = f"{state}: {plain(markup).removeprefix(name).strip()}"
    return said


def answer(client: Client, days: int = 7, **headers: str) -> dict[str, Any]:
    """Return the API's answer."""
    response = client.get("/metrics/api/", {"days": days}, headers=headers)
    assert response.status_code == 200, response.content
    found: dict[str, Any] = response.json()
    return found


def values(found: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of an answer, those that are there and not zero."""
    return {
        key: one["value"]
        for key, one in found["numbers"].items()
        if one["value"] not in {None, 0, "0.00"}
    }

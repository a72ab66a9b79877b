"""Read the dashboard's texts and the API's answer."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.test import Client

PAGE = "/metrics/dashboard/"
RANGES = ("1h", "24h", "7d", "30d", "90d")


def plain(markup: str) -> str:
    """Return the text of some markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def main_text(client: Client, name: str = "24h") -> str:
    """Return the text of the dashboard's main part, for a range."""
    response = client.get(PAGE, {"range": name})
    assert response.status_code == 200
    main = response.content.decode().partition("<main")[2].partition("</main>")[0]
    without_data = re.sub(r"<script.*?</script>", "", main, flags=re.DOTALL)
    return plain(f"<{without_data}")


def cards(client: Client, name: str = "24h") -> dict[str, str]:
    """Return the state and text of each card, by its title."""
    page = client.get(PAGE, {"range": name}).content.decode()
    items = re.findall(r'<li class="key is-(\w+)">(.*?)</li>', page, flags=re.DOTALL)
    texts = {}
    for state, markup in items:
        title = re.findall(r"<h3>(.*?)</h3>", markup)[0]
        visible = re.sub(r'<dt class="visually-hidden">.*?</dt>', "", markup)
        texts[title] = f"{state}: {plain(visible).removeprefix(title).strip()}"
    return texts


def checks(client: Client) -> dict[str, str]:
    """Return the state and text of each health check, by its name."""
    page = client.get(PAGE).content.decode()
    items = re.findall(r'<li class="check is-(\w+)">(.*?)</li>', page, flags=re.DOTALL)
    texts = {}
    for state, markup in items:
        name = plain(re.findall(r"<h3>(.*?)</h3>", markup)[0])
        texts[name] = f"{state}: {plain(markup).removeprefix(name).strip()}"
    return texts


def api_document(client: Client, days: int = 7, **headers: str) -> dict[str, Any]:
    """Return the API's JSON."""
    response = client.get("/metrics/api/", {"days": days}, headers=headers)
    assert response.status_code == 200, response.content
    document: dict[str, Any] = response.json()
    return document


def values(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document's numbers, without missing ones and zeros."""
    return {
        key: number["value"]
        for key, number in document["numbers"].items()
        if number["value"] not in {None, 0, "0.00"}
    }

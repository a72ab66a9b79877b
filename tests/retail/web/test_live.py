"""Pages that refresh themselves are in no rate, for staff only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.urls import reverse

from partner_feeds.models import Ingestion
from retail.observability.rows.recorder import recorder
from tests.partner_feeds.taking_in import make_partner
from tests.support import make_buyer, moved

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db

_REFRESHING = re.compile(r"hx-get=\"{% url '(?P<view>[\w:]+)'[^>]*hx-trigger=\"every", re.DOTALL)
BUYERS = {"orders:status"}  # the buyer waits for the answer, so it counts


def refreshing() -> list[str]:
    """Return the views that a page requests by itself, from all templates."""
    texts = (path.read_text("utf-8") for path in Path(configured.BASE_DIR).rglob("*.html"))
    return sorted({match["view"] for text in texts for match in _REFRESHING.finditer(text)})


def address(view: str) -> str:
    """Return where a view is, with what it shows."""
    if view != "partner_feeds:desk_progress":
        return reverse(view)
    return reverse(view, args=[Ingestion.objects.create(partner=make_partner()).reference])


@pytest.fixture
def watcher(staff: Client) -> Client:
    """Return a client of somebody who may see everything."""
    User.objects.filter(is_staff=True).update(is_superuser=True)
    return staff


def test_each_page_that_refreshes_itself_is_known() -> None:
    assert set(refreshing()) > BUYERS
    assert {
        *("dashboards:dashboard_poll", "oncall:alerts_list"),
        *("partner_feeds:desk_list", "partner_feeds:desk_progress"),
    } <= set(refreshing())


@pytest.mark.parametrize("view", [view for view in refreshing() if view not in BUYERS])
def test_refreshes_of_staff_are_in_no_rate(watcher: Client, view: str) -> None:
    page = address(view)
    with moved() as changes:
        assert watcher.get(page).status_code == 200
    assert [name for name in changes if name.startswith("retail_http")] == []
    assert recorder.intervals.empty


@pytest.mark.parametrize("view", [view for view in refreshing() if view not in BUYERS])
@pytest.mark.parametrize("name", ["", "customer"])
def test_headers_exempt_nobody(client: Client, view: str, name: str) -> None:
    if name:
        client.force_login(make_buyer(name))
    page = address(view)
    headers = {"HX-Request": "true", "HX-Trigger": "live", "X-Purpose": "preview"}
    with moved() as changes:
        assert client.get(page, headers=headers).status_code in {401, 403}
    counted = (
        f'retail_http_request_duration_seconds_count{{view="{view}",method="GET",status="4xx"}}'
    )
    assert changes == {counted: 1}
    assert not recorder.intervals.empty


@pytest.mark.parametrize("view", [view for view in refreshing() if view not in BUYERS])
def test_a_refresh_that_fails_is_an_error(
    watcher: Client, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("a bug")

    page = address(view)
    watcher.raise_request_exception = False
    monkeypatch.setattr("retail.web.live.render", fail)  # after the request was excluded
    with moved() as changes:
        assert watcher.get(page).status_code == 500
    assert changes[f'retail_http_errors_total{{view="{view}"}}'] == 1
    assert not recorder.intervals.empty

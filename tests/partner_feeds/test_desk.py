"""Staff's list of partners and their page of one: who may, and what is shown."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from partner_feeds.models import Ingestion, Partner, PushKey
from tests.partner_feeds.desks import (
    EVIL,
    LIST,
    PARTNER,
    UPLOAD,
    csv,
    held,
    in_every_state,
    logged_in,
    path,
    reading,
    staff,
    state,
    text_of,
)
from tests.partner_feeds.taking_in import FILE, take_in
from tests.support import make_buyer

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import DjangoAssertNumQueries

pytestmark = pytest.mark.django_db


def addresses(partner: Partner) -> dict[str, str]:
    """Return the desk's pages, and what is sent there."""
    ingestion = held(partner)
    return {
        LIST: "",
        f"{LIST}list": "",
        PARTNER: "fetch",
        UPLOAD: "take_in",
        path(ingestion): "apply",
        path(ingestion, "progress"): "",
        path(ingestion, "rejects.csv"): "",
    }


def sent(action: str) -> dict[str, object]:
    return {"action": action, "reason": "Because.", "file": csv(FILE + b"A4,Pot,1.00,1\n")}


def test_who_may_open_the_desk(partner: Partner, client: Client) -> None:
    pages = addresses(partner)
    others = (logged_in(make_buyer()), staff(), staff("support"), staff("finance"))
    before = state()
    for address, action in pages.items():
        for anonymous in (client.get(address), client.post(address, sent(action))):
            assert anonymous.headers["Location"] == f"/accounts/login/?next={address}"
        for other in others:
            assert other.get(address).status_code == 403
            assert other.post(address, sent(action)).status_code == 403
    assert state() == before


def test_who_may_only_look_sees_no_buttons_and_cannot_decide(partner: Partner) -> None:
    pages = addresses(partner)
    client = staff("on-call")
    before = state()
    for address, action in pages.items():
        page = client.get(address)
        status = 403 if address == UPLOAD else 204 if address.endswith("progress") else 200
        assert page.status_code == status, address
        if not page.streaming:
            assert 'method="post"' not in text_of(page)
        status = 403 if action else 405
        assert client.post(address, sent(action)).status_code == status
    assert state() == before


def test_the_merchandiser_may_open_all_pages(partner: Partner) -> None:
    pages = addresses(partner)
    client = staff("merchandiser")
    assert '<a href="/desk/feeds/">Feeds</a>' in client.get("/").content.decode()
    before = state()
    for address, action in pages.items():
        status = 302 if address == UPLOAD else 204 if address.endswith("progress") else 200
        assert client.get(address).status_code == status, address
        for method in ("put", "delete", "patch"):
            assert getattr(client, method)(address).status_code == 405
        if not action:
            assert client.post(address).status_code == 405
    assert state() == before
    assert client.get("/desk/feeds/nobody/").status_code == 404
    assert client.post("/desk/feeds/nobody/upload/", sent("take_in")).status_code == 404
    assert client.get("/desk/feeds/files/FD-NOBODY/").status_code == 404
    assert state() == before


def test_only_staff_who_may_see_feeds_see_the_link(client: Client) -> None:
    for each in (client, logged_in(make_buyer()), staff("support")):
        assert "/desk/feeds/" not in each.get("/").content.decode()


def row_of(page: str, name: str) -> str:
    """Return the text of a partner's row in the list."""
    return next(row for row in page.split("<tr>") if f">{name}</a>" in row)


def test_the_list_begins_with_what_needs_staff(partner: Partner) -> None:
    category = partner.category
    settings: dict[str, dict[str, Any]] = {
        "Aaa": {},
        "Old": {"is_active": False, "fresh_within_minutes": 5},
        "Promised": {"fresh_within_minutes": 60},
        "Running": {"address": "https://r.example/", "fetch_every_minutes": 120},
    }
    made = {
        name: Partner.objects.create(name=name, slug=name.lower(), category=category, **values)
        for name, values in settings.items()
    }
    held(partner)
    reading(made["Running"])
    PushKey.objects.create(partner=made["Running"], digest="x", start="vk_x")
    Partner.objects.exclude(pk=partner.pk).update(promised_at=timezone.now() - timedelta(hours=2))
    page = text_of(staff("on-call").get(LIST))
    order = ["Acme", "Running", "Promised", "Aaa", "Old"]
    assert sorted(order, key=lambda name: page.index(f">{name}</a>")) == order
    assert "is-warn" in row_of(page, "Acme")
    assert "0 rows" in row_of(page, "Running")
    assert "fetched every 2 hours, sent by the partner" in row_of(page, "Running")
    assert "Late" in row_of(page, "Promised")
    assert "Nothing taken in yet, due every hour" in row_of(page, "Promised")
    assert "Late" not in row_of(page, "Old")
    assert "Inactive" in row_of(page, "Old")
    assert "uploaded" in row_of(page, "Aaa")


def test_freshness_counts_from_the_last_file_that_was_taken(partner: Partner) -> None:
    client = staff("on-call")
    Partner.objects.update(fresh_within_minutes=60)
    done = take_in(partner, FILE)
    failed = take_in(partner, b"<html>")
    assert failed.status == "FAILED"
    assert "Late" not in text_of(client.get(LIST))
    earlier = timezone.now() - timedelta(minutes=61)
    Ingestion.objects.filter(pk=done.pk).update(created_at=earlier, finished_at=earlier)
    assert "Late" not in text_of(client.get(LIST))  # its promise is younger
    Partner.objects.update(promised_at=earlier)
    page = text_of(client.get(LIST))
    assert "Late" in row_of(page, "Acme")
    assert "1 h 1 min ago, due every hour" in page
    assert path(failed) in row_of(page, "Acme")
    take_in(partner, FILE)  # the same file
    assert "Late" not in text_of(client.get(LIST))


def test_the_list_refreshes_itself_only_if_it_changed(partner: Partner) -> None:
    client = staff("on-call")
    seen = client.get(LIST).context["content_hash"]
    assert client.get(f"{LIST}list?seen={seen}").status_code == 204
    reading(partner)
    answer = client.get(f"{LIST}list?seen={seen}")
    assert answer.status_code == 200
    assert "Reading" in answer.content.decode()


def test_many_partners_cost_no_more_queries(
    partner: Partner, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = staff("on-call")
    take_in(partner, FILE)
    client.get(LIST)
    with django_assert_num_queries(7):
        client.get(LIST)
    for number in range(5):
        one = Partner.objects.create(
            name=f"N{number}", slug=f"n{number}", category=partner.category
        )
        take_in(one, FILE)
        reading(one, FILE + b"A9,Pot,1.00,1\n")
    with django_assert_num_queries(7):
        client.get(LIST)


def test_a_partner_called_files_has_its_pages(partner: Partner) -> None:
    Partner.objects.filter(pk=partner.pk).update(slug="files")
    client = staff("merchandiser")
    assert client.get("/desk/feeds/files/").status_code == 200
    answer = client.post("/desk/feeds/files/upload/", {"action": "try", "file": csv()})
    assert answer.status_code == 200


def test_what_a_partner_says_is_escaped_on_all_pages(partner: Partner) -> None:
    Partner.objects.filter(pk=partner.pk).update(name=EVIL, currency_symbol="<b>")
    partner.refresh_from_db()
    client = staff("merchandiser")
    seen = set()
    for ingestion in in_every_state(partner):
        ingestion.refresh_from_db()
        seen.add(ingestion.status)
        for address in (LIST, PARTNER, path(ingestion)):
            page = client.get(address).content.decode()
            assert EVIL not in page
            assert "&lt;script&gt;alert(1)" in page
    assert seen == {"READING", "DONE", "HELD", "FAILED", "DISCARDED"}
    file = csv(f"sku,name,price\nA,&lt;script&gt;alert(1),2\n{EVIL},B,3\nC,D,{EVIL}\n".encode())
    page = client.post(UPLOAD, {"action": "try", "file": file}).content.decode()
    assert EVIL not in page
    assert page.count("&lt;script&gt;alert(1)") > 2

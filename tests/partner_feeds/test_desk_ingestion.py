"""Staff's page of a file: what it shows, and what can be decided there."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.utils import timezone
from django_q.models import OrmQ

from partner_feeds import selectors, staging, tasks
from partner_feeds.models import Ingestion, Partner
from partner_feeds.tasks import continue_feed
from products.models import Product
from tests.partner_feeds.desks import held, path, reading, staff, state, text_of, work
from tests.partner_feeds.taking_in import FILE, shelf, take_in

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return staff("merchandiser")


def send(client: Client, ingestion: Ingestion, action: str, reason: str = "") -> Any:
    return client.post(path(ingestion), {"action": action, "reason": reason})


def test_a_held_file_is_applied_anyway(client: Client, partner: Partner) -> None:
    ingestion = held(partner)
    answer = send(client, ingestion, "apply", " Confirmed by Acme. ")
    assert answer.headers["Location"] == path(ingestion)
    ingestion.refresh_from_db()
    user = User.objects.get(username="merchandiser")
    assert (ingestion.status, ingestion.applied_by, ingestion.reason) == (
        *("APPLYING", user, "Confirmed by Acme."),
    )
    assert shelf()["A1"][1] == Decimal("24.90")
    work()
    assert shelf()["A1"][1] == Decimal("2490.00")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.change_message) == (
        *(user, str(ingestion.pk), "Applied anyway: Confirmed by Acme."),
    )
    page = text_of(client.get(path(ingestion)))
    assert "Applied anyway: Confirmed by Acme." in page
    assert "1 changed, 2 unchanged" in page


def test_a_held_file_is_discarded(client: Client, partner: Partner) -> None:
    ingestion = held(partner)
    before = shelf()
    send(client, ingestion, "discard", "A wrong decimal sign.")
    ingestion.refresh_from_db()
    assert (ingestion.status, ingestion.staged.count(), OrmQ.objects.count()) == (
        *("DISCARDED", 0, 0),
    )
    page = text_of(client.get(path(ingestion)))
    assert "Discarded: A wrong decimal sign." in page
    assert "1 price changes by a factor of 2 or more." in page
    assert shelf() == before


@pytest.mark.parametrize("second", ["apply", "discard"])
@pytest.mark.parametrize("first", ["apply", "discard"])
def test_it_is_decided_once(client: Client, partner: Partner, first: str, second: str) -> None:
    ingestion = held(partner)
    assert send(client, ingestion, first, "First.").status_code == 302
    before = state()
    answer = send(client, ingestion, second, "Second.")
    assert answer.status_code == 409
    assert f"{ingestion} is not held" in text_of(answer)
    assert "First." in text_of(answer)
    assert "Second." not in text_of(answer)
    assert state() == before


@pytest.mark.parametrize("action", ["apply", "discard"])
def test_a_decision_needs_a_reason(client: Client, partner: Partner, action: str) -> None:
    ingestion = held(partner)
    before = state()
    for reason, words in (("", "Say why."), ("  \t", "Say why."), ("x" * 301, "at most 300")):
        answer = send(client, ingestion, action, reason)
        assert answer.status_code == 400
        assert words in text_of(answer)
    assert client.post(path(ingestion), {"reason": "Yes."}).status_code == 400
    assert send(client, ingestion, "delete", "Yes.").status_code == 400
    assert send(client, ingestion, action, "\0").status_code == 400
    assert state() == before


def test_only_what_is_held_is_decided(client: Client, partner: Partner) -> None:
    done = take_in(partner, FILE)
    running = reading(partner, FILE + b"A9,Pot,1.00,1\n")
    before = state()
    for ingestion in (done, running):
        for action in ("apply", "discard"):
            assert send(client, ingestion, action, "Yes.").status_code == 409
    assert send(client, running, "take_back").status_code == 409
    assert state() == before


def test_a_file_is_taken_back_once(client: Client, partner: Partner) -> None:
    done = take_in(partner, FILE)
    Product.objects.filter(sku="A2").update(name="Own name")
    assert "Take back" in text_of(client.get(path(done)))
    answer = send(client, done, "take_back")
    back = Ingestion.objects.get(origin="take_back")
    assert answer.headers["Location"] == path(back)
    assert "Taking back" in text_of(client.get(path(back)))
    work()
    assert list(shelf()) == ["A2"]
    page = text_of(client.get(path(back)))
    assert "was undone in 2 products." in page
    assert "1 stayed as they are" in page
    assert "sku: A2" in page
    assert "1 <code>changed_since</code>" in page
    page = text_of(client.get(path(done)))
    assert path(back) in page
    assert "Taken back." in page
    assert 'value="take_back"' not in page
    before = state()
    answer = send(client, done, "take_back")
    assert answer.status_code == 409
    assert f"{done} was taken back before." in text_of(answer)
    assert send(client, back, "take_back").status_code == 409
    assert state() == before


def test_an_old_file_is_not_taken_back(client: Client, partner: Partner) -> None:
    done = take_in(partner, FILE)
    old = timezone.now() - timedelta(days=15)
    Ingestion.objects.update(created_at=old, finished_at=old)
    tasks.forget_feed_changes()
    before = state()
    words = f"{done} changed nothing, or more than 14 days ago."
    assert f"It cannot be taken back: {words}" in text_of(client.get(path(done)))
    assert words in text_of(send(client, done, "take_back"))
    assert state() == before


def live(client: Client, ingestion: Ingestion, **query: Any) -> Any:
    return client.get(path(ingestion, "progress"), query)


def test_progress_while_it_is_read(
    client: Client, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "BATCH", 2)
    monkeypatch.setattr(tasks, "SECONDS", -1)
    ingestion = reading(partner)
    page = client.get(path(ingestion))
    assert "0 rows read" in text_of(page)
    assert "It waits for the worker." in text_of(page)
    seen = page.context["content_hash"]
    assert live(client, ingestion, seen=seen).status_code == 204
    continue_feed(ingestion.pk)
    answer = live(client, ingestion, seen=seen)
    assert answer.status_code == 200
    assert "2 rows read</strong>" in answer.content.decode()
    assert "It waits" not in answer.content.decode()
    monkeypatch.setattr(tasks, "SECONDS", 45)
    work()
    ended = live(client, ingestion, seen=seen)
    assert (ended.status_code, ended.headers["HX-Refresh"]) == (204, "true")


def test_progress_while_it_is_applied(
    client: Client, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingestion = reading(partner)
    applying = {"status": "APPLYING", "to_apply": 3_000, "created": 1_990, "rejected": 15}
    by_code = {"rejected_by_code": {"price": 5}}
    Ingestion.objects.filter(pk=ingestion.pk).update(**applying, **by_code)
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    mark = {"status": "APPLYING", "done": 1_000, "at": now.timestamp() - 2}
    text = " ".join(live(client, ingestion, **mark).content.decode().split())
    assert "2,000 of 3,000 rows applied</strong>, 500 a second, about 2.0 s left" in text
    assert '<progress class="feed-bar" max="100" value="66"' in text
    for forged in (
        *(
            {"status": "READING"},
            {"done": -1},
            {"done": "x"},
            {"done": 2_001},
            {"done": "9" * 5000},
        ),
        *({"at": "nan"}, {"at": "inf"}, {"at": now.timestamp() + 9}, {"at": 0}, {"at": "\0"}),
    ):
        answer = live(client, ingestion, **{**mark, **forged})
        assert answer.status_code == 200, forged
        assert "a second" not in answer.content.decode(), forged


def many(prices: list[str], stocks: list[int]) -> bytes:
    rows = zip(prices, stocks, strict=True)
    lines = [f"S{n},Name {n},{price},{stock}" for n, (price, stock) in enumerate(rows)]
    return "\n".join(["sku,name,price,stock", *lines]).encode()


def test_what_a_held_file_would_change(client: Client, partner: Partner) -> None:
    take_in(partner, many(["100.00"] * 30, list(range(30))))
    # One of each bucket and of each limit, then 16 that double, by more and more.
    told = ["10.00", "10.01", "50", "50.01", "90", "90.01", "100", "109.99", "110", "149.99"]
    told += ["150", "999.99", "1000", "5000", *(f"{200 + n}" for n in range(16))]
    ingestion = take_in(partner, many(told, [0] * 30) + b"\nNEW,New,1.00,0\nBAD,Bad,0,0\n")
    assert ingestion.status == "HELD"
    assert [bucket.prices for bucket in selectors.price_distribution(ingestion)] == [
        *(1, 2, 2, 1, 1, 1, 2, 18, 2),
    ]
    changes = selectors.largest_price_changes(ingestion)
    assert [(one.product.sku, one.after, round(one.factor, 2)) for one in changes[:5]] == [
        ("S13", Decimal(5000), 50.0),
        ("S0", Decimal(10), 10.0),
        ("S12", Decimal(1000), 10.0),
        ("S11", Decimal("999.99"), 10.0),
        ("S1", Decimal("10.01"), 9.99),
    ]
    assert (len(changes), {one.before for one in changes}) == (20, {Decimal(100)})
    assert [one.sku for one in selectors.sell_outs(ingestion)] == [
        f"S{number}" for number in range(29, 9, -1)
    ]
    page = text_of(client.get(path(ingestion)))
    for words in (
        "31 rows would be applied, 30 to products that are in the shop.",
        "The 20 with the most units of 29.",
        "÷ 10.00",
        "€100.00",
        "€5,000.00",
        "1 <code>price_not_positive</code>",
        "60.0 %",
    ):
        assert words in page
    assert 'rect width="60.00" height="10"' in page


def test_a_held_file_that_changes_no_price(client: Client, partner: Partner) -> None:
    Partner.objects.update(most_rejects_ratio=0.0)
    partner.refresh_from_db()
    ingestion = take_in(partner, FILE + b"B,Bad,0,0\n")
    assert ingestion.status == "HELD"
    page = text_of(client.get(path(ingestion)))
    assert "No price changes." in page
    assert selectors.sell_outs(ingestion) == []


def test_a_failed_file_says_why(client: Client, partner: Partner) -> None:
    failed = take_in(partner, b"<html><body>")
    page = text_of(client.get(path(failed)))
    assert "Failed: nothing was changed" in page
    assert "The file is a web page, perhaps a log-in page, and not a feed." in page


def test_columns_with_the_names_of_methods(client: Client, partner: Partner) -> None:
    content = b"sku,name,price,items,keys,0\nA,Pan,x,y,z,w\nB,Pot,1.00,y,z,w\n"
    ingestion = take_in(partner, content)
    page = client.get(path(ingestion))
    assert page.status_code == 200
    assert "price: x" in text_of(page)

"""When files are fetched, what becomes of a fetch, and what is said of it."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from logging import Formatter
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from partner_feeds import fetching, schedule
from partner_feeds.models import FilePart, Ingestion, Partner
from partner_feeds.schedule import claim_due
from partner_feeds.services import IngestionRefusedError
from partner_feeds.tasks import continue_feed, fetch_feed, fetch_feeds, fetch_now
from tests.partner_feeds.asking import at
from tests.partner_feeds.servers import Reply, Server, answer, dribble, ok, redirect
from tests.partner_feeds.taking_in import FILE, everything, shelf, take_in
from tests.support import make_buyer

if TYPE_CHECKING:
    from datetime import datetime

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
SECRETS = ("s3cr3t-user", "s3cr3t-word", "s3cr3t-t0ken", "s3cr3t-hop")


@pytest.fixture
def partner(partner: Partner, server: Server) -> Partner:
    """Let its file be fetched from the server each hour."""
    user = f"{SECRETS[0]}:{SECRETS[1]}@"
    partner.address = at(server, f"/a.csv?token={SECRETS[2]}", user=user)
    partner.allow_http, partner.fetch_every_minutes = True, 60
    partner.save()
    server[f"/a.csv?token={SECRETS[2]}"] = ok(FILE)
    return partner


def queued() -> list[tuple[str, Any]]:
    found = []
    for row in OrmQ.objects.order_by("pk"):
        task = row.task
        found.append((task["func"].rpartition(".")[2], task["args"]))
    return found


def work() -> None:
    """Run what is queued, and what that queues."""
    while row := OrmQ.objects.order_by("pk").first():
        name, arguments = queued()[0]
        row.delete()
        {"continue_feed": continue_feed, "fetch_feed": fetch_feed}[name](*arguments)


def next_fetch(partner: Partner) -> datetime:
    partner.refresh_from_db()
    assert partner.next_fetch_at is not None
    return partner.next_fetch_at


# --- When ---------------------------------------------------------------------------------------
def test_a_new_schedule_is_due_at_once_and_then_once_an_interval(partner: Partner) -> None:
    assert partner.next_fetch_at is None
    before = timezone.now()
    assert (fetch_feeds(), queued()) == (1, [("fetch_feed", (partner.pk,))])
    assert before + 60 * MINUTE <= next_fetch(partner) <= timezone.now() + 60 * MINUTE
    assert fetch_feeds() == 0
    at_last = next_fetch(partner)
    assert claim_due(at_last - timedelta(seconds=1), fetch_feed.enqueue) == []
    assert claim_due(at_last, fetch_feed.enqueue) == [partner.pk]
    assert next_fetch(partner) == at_last + 60 * MINUTE


def test_a_new_interval_counts_from_now(partner: Partner) -> None:
    fetch_feeds()
    for every in (5, 600):
        partner.refresh_from_db()
        partner.fetch_every_minutes = every
        before = timezone.now()
        partner.save()
        assert before + every * MINUTE <= next_fetch(partner) <= timezone.now() + every * MINUTE
    at_last = next_fetch(partner)
    partner.name = "Acme & Co."
    partner.save()
    assert next_fetch(partner) == at_last
    partner.fetch_every_minutes = None
    partner.save()
    assert (partner.next_fetch_at, fetch_feeds()) == (None, 0)
    partner.fetch_every_minutes = 5
    partner.save()
    assert (partner.next_fetch_at, fetch_feeds()) == (None, 1)


@pytest.mark.parametrize(
    "changed", [{"is_active": False}, {"address": ""}, {"fetch_every_minutes": None}]
)
def test_who_is_not_fetched(partner: Partner, changed: dict[str, Any]) -> None:
    Partner.objects.update(next_fetch_at=timezone.now() - MINUTE, **changed)
    assert (fetch_feeds(), queued()) == (0, [])


def test_two_workers_claim_a_partner_once(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one looks before the first one has claimed it."""
    now = timezone.now()
    is_due, claimed = Partner.is_due, []

    def look(self: Partner, at: datetime) -> bool:
        due = is_due(self, at)
        monkeypatch.setattr(Partner, "is_due", is_due)
        claimed.append(claim_due(now, fetch_feed.enqueue))
        return due

    monkeypatch.setattr(Partner, "is_due", look)
    assert (claim_due(now, fetch_feed.enqueue), claimed) == ([], [[partner.pk]])
    assert len(queued()) == 1


def test_a_claim_whose_job_was_not_queued_is_none(partner: Partner) -> None:
    def killed(_: int) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        claim_due(timezone.now(), killed)
    partner.refresh_from_db()
    assert (partner.next_fetch_at, fetch_feeds()) == (None, 1)


def test_after_a_worker_was_killed_between_claim_and_fetch_the_next_time_comes(
    partner: Partner,
) -> None:
    fetch_feeds()
    OrmQ.objects.all().delete()  # the job is lost with its worker
    later = next_fetch(partner)
    assert claim_due(later, fetch_feed.enqueue) == [partner.pk]
    work()
    assert len(shelf()) == 3


def test_a_clock_that_was_set_back_does_not_put_a_fetch_off(partner: Partner) -> None:
    now = timezone.now()
    Partner.objects.update(next_fetch_at=now + 61 * MINUTE)  # as far as two clocks may differ
    assert claim_due(now, fetch_feed.enqueue) == []
    assert claim_due(now - timedelta(seconds=1), fetch_feed.enqueue) == [partner.pk]
    assert next_fetch(partner) == now - timedelta(seconds=1) + 60 * MINUTE


# --- What becomes of it -------------------------------------------------------------------------
def test_a_file_is_fetched_read_and_applied(partner: Partner, server: Server) -> None:
    modified = "Last-Modified: Fri, 27 Nov 2026 03:00:00 GMT"
    server[f"/a.csv?token={SECRETS[2]}"] = ok(FILE, modified)
    fetch_feeds()
    work()
    ingestion = Ingestion.objects.get()
    assert (ingestion.status, ingestion.origin, ingestion.created) == ("DONE", "fetch", 3)
    assert ingestion.file_dated_at is not None
    assert ingestion.file_dated_at.isoformat() == "2026-11-27T03:00:00+00:00"
    assert (ingestion.started_by, len(shelf())) == (None, 3)
    fetch_feed(partner.pk)
    again = Ingestion.objects.latest("pk")
    assert (again.status, queued()) == ("UNCHANGED", [])


def test_staff_may_fetch_at_once(partner: Partner) -> None:
    user = make_buyer()
    at_first = partner.next_fetch_at
    fetch_now(partner, user_id=user.pk)
    work()
    ingestion = Ingestion.objects.get()
    assert (ingestion.status, ingestion.started_by) == ("DONE", user)
    partner.refresh_from_db()
    assert partner.next_fetch_at == at_first
    for changed, why in (({"is_active": False}, "not active"), ({"address": ""}, "no address")):
        Partner.objects.update(**{"is_active": True, **changed})
        partner.refresh_from_db()
        with pytest.raises(IngestionRefusedError, match=why):
            fetch_now(partner, user_id=user.pk)
        fetch_feed(partner.pk)  # it was changed while the job waited
    assert (Ingestion.objects.count(), queued()) == (1, [])


def test_a_second_click_requests_no_second_fetch(partner: Partner, server: Server) -> None:
    fetch_now(partner, user_id=None)
    with pytest.raises(IngestionRefusedError, match="about to be fetched"):
        fetch_now(partner, user_id=None)
    assert len(queued()) == 1
    work()
    assert len(server.requests) == 1
    fetch_now(partner, user_id=None)  # the worker has begun with the first one
    assert len(queued()) == 1
    for minutes in (-2, 2):  # it waits for too long, or a clock was wrong
        Partner.objects.update(fetch_requested_at=timezone.now() + timedelta(minutes=minutes))
        fetch_now(partner, user_id=None)
    assert len(queued()) == 3
    OrmQ.objects.all().delete()


def test_a_file_that_cannot_be_fetched_changes_nothing(partner: Partner, server: Server) -> None:
    take_in(partner, FILE)
    held = take_in(partner, FILE.replace(b"24.90", b"2490.00"))
    before = everything()
    server.replies.clear()
    fetch_feed(partner.pk)
    failed = Ingestion.objects.latest("pk")
    assert (failed.status, failed.code, failed.origin) == ("FAILED", "not_found", "fetch")
    assert failed.problem == "feeds.example.com answered 404 Not Found, and sent no file."
    held.refresh_from_db()
    assert (held.status, everything(), queued()) == ("HELD", before, [])
    assert FilePart.objects.count() == 0


def test_while_a_file_is_taken_in_no_other_is_fetched(
    partner: Partner, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_feed(partner.pk)
    server[f"/a.csv?token={SECRETS[2]}"] = ok(FILE + b"A4,Pot,9.00,1\n")
    fetch_feed(partner.pk)
    assert (Ingestion.objects.count(), len(server.requests)) == (1, 1)
    # It began while this one was fetched.
    monkeypatch.setattr("partner_feeds.transitions.is_busy", lambda _: False)
    fetch_feed(partner.pk)
    assert (Ingestion.objects.count(), len(server.requests)) == (1, 2)
    OrmQ.objects.all().delete()


def test_pages_are_taken_in_as_one_file(partner: Partner, server: Server) -> None:
    Partner.objects.update(format="json")
    partner.refresh_from_db()

    def page(sku: str, **more: str) -> bytes:
        products = [{"sku": sku, "name": f"Pan {sku}", "price": "9.00", "stock": 1}]
        return ok(json.dumps({"products": products, **more}).encode())

    server[f"/a.csv?token={SECRETS[2]}"] = page("A", next="/b")
    server["/b"] = page("B")
    fetch_feed(partner.pk)
    work()
    ingestion = Ingestion.objects.get()
    assert (ingestion.status, ingestion.rows, ingestion.problem) == ("DONE", 2, "")
    assert sorted(shelf()) == ["A", "B"]
    server["/b"] = page("B", next="/c")
    fetch_feed(partner.pk)
    assert Ingestion.objects.latest("pk").code == "not_found"
    assert sorted(shelf()) == ["A", "B"]


# --- What is said of it -------------------------------------------------------------------------
REPLIES: dict[str, Reply] = {
    "done": ok(FILE),
    "failed": answer("500 s3cr3t-hop", "Content-Length: 0"),
    "cut": ok(FILE, length=1000),
    "redirect": redirect(f"https://{SECRETS[0]}:{SECRETS[1]}@nobody.example.org/?{SECRETS[3]}"),
    "bad redirect": redirect(f"https://nobody.example.org:{SECRETS[3]}/"),
    "no redirect": redirect(f"https://[{SECRETS[3]}"),
    "nonsense": SECRETS[3].encode(),
    "headers": b"HTTP/1.1 200 OK\r\n" + SECRETS[3].encode() * 9000,
    "slow": dribble(answer("200 OK")),
}


@pytest.mark.parametrize("kind", [*REPLIES, "bug"])
def test_no_secret_of_an_address_is_logged_or_stored(
    partner: Partner,
    server: Server,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(fetching, "SECONDS", 20)
    server[f"/a.csv?token={SECRETS[2]}"] = REPLIES.get(kind, ok(FILE))
    fetch_feeds()
    if kind == "slow":
        monkeypatch.setattr(schedule, "fetch", lambda *given: fetching.fetch(*given, seconds=0.3))
    if kind == "bug":
        monkeypatch.setattr(fetching, "_check", None)
        with pytest.raises(TypeError):
            work()
    else:
        work()
    stored = [*Ingestion.objects.values(), *OrmQ.objects.values()]
    # Before the formatter hides what looks like a secret.
    lines = "\n".join(f"{it.__dict__} {Formatter().format(it)}" for it in caplog.records)
    event = {"done": "feed.fetched", "bug": "job.failed"}.get(kind, "feed.not_fetched")
    assert f"event={event}" in lines
    for secret in SECRETS:
        assert secret in "".join(server.requests) + repr(REPLIES) + partner.address
        assert secret not in lines
        assert secret not in repr(stored)
    assert kind == "bug" or f"'source': '{at(server, '/a.csv')}'" in lines

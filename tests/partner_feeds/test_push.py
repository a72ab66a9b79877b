"""POST /feeds/<partner>/: who may send a file, what is taken, and what is answered."""

from __future__ import annotations

import io
import logging
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from partner_feeds import push, push_keys
from partner_feeds.models import FilePart, Ingestion, Partner, PushKey, RejectedRow
from partner_feeds.services import push_key_create, push_key_revoke
from partner_feeds.tasks import continue_feed
from tests.partner_feeds.taking_in import FILE, everything, shelf, take_in
from tests.support import make_buyer

if TYPE_CHECKING:
    from django.http import HttpResponse
    from pytest_django import DjangoAssertNumQueries, Settings

pytestmark = pytest.mark.django_db
URL = "/feeds/acme/"


class Body(io.BytesIO):
    """A body that counts how often it is read."""

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        return super().read(size)


@pytest.fixture
def key(partner: Partner) -> str:
    return push_key_create(partner, None)[1]


def send(
    key: str, content: bytes = FILE, url: str = URL, **extra: Any
) -> tuple[HttpResponse, Body]:
    """Send a file as a program does, without a session and without a CSRF token."""
    body = Body(content)
    headers = {"CONTENT_LENGTH": str(len(content)), "wsgi.input": body, **extra}
    if key:
        headers.setdefault("HTTP_AUTHORIZATION", f"Bearer {key}")
    answer = Client(enforce_csrf_checks=True).generic(
        "POST", url, content_type="text/csv", **headers
    )
    return answer, body  # type: ignore[return-value]


def sent(key: str, content: bytes = FILE, **extra: Any) -> tuple[int, Any]:
    answer, _ = send(key, content, **extra)
    return answer.status_code, answer.json()  # type: ignore[attr-defined]


def ask(key: str, reference: str, url: str = URL) -> tuple[int, Any]:
    headers = {"HTTP_AUTHORIZATION": f"Bearer {key}"}
    answer = Client().get(f"{url}{reference}/", **headers)  # type: ignore[arg-type]
    return answer.status_code, answer.json()


def work() -> None:
    while row := OrmQ.objects.order_by("pk").first():
        arguments = row.task["args"]
        row.delete()
        continue_feed(*arguments)


# --- Keys ---------------------------------------------------------------------------------------
def test_only_the_digest_of_a_key_is_stored(
    partner: Partner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    user = make_buyer()
    key, secret = push_key_create(partner, user.pk)
    key.refresh_from_db()
    assert secret.startswith("vtf_")
    assert len(secret) - len(key.start) >= 160 / 6  # random characters that nothing shows
    assert (key.start, key.created_by, key.revoked_at) == (secret[:12], user, None)
    assert key.digest == sha256(secret.encode()).hexdigest()
    assert secret not in repr(list(PushKey.objects.values()))
    assert push_key_create(partner, None)[1] != secret
    assert push_key_revoke(key, user.pk)
    assert not push_key_revoke(key, user.pk)
    logged = [record for record in caplog.records if record.name == "retail.feeds"]
    events = ["event=feed.key_created"] * 2 + ["event=feed.key_revoked"]
    assert [record.getMessage() for record in logged] == events
    assert secret not in repr([record.__dict__ for record in caplog.records])


def test_the_use_of_a_key_is_noted_but_not_each_minute_anew(
    partner: Partner, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    key, secret = push_key_create(partner, None)
    with django_assert_num_queries(2):
        assert push_keys.partner_with(secret, "acme") == partner
    key.refresh_from_db()
    assert key.last_used_at is not None
    with django_assert_num_queries(1):
        push_keys.partner_with(secret, "acme")
    for seconds in (61, -61):  # the clock was set back
        PushKey.objects.update(last_used_at=timezone.now() - timedelta(seconds=seconds))
        with django_assert_num_queries(2):
            push_keys.partner_with(secret, "acme")


def test_a_wrong_key_an_unknown_partner_and_a_revoked_key_look_the_same(
    partner: Partner, key: str
) -> None:
    other = Partner.objects.create(name="Other", slug="other", category=partner.category)
    of_other = push_key_create(other, None)[1]
    revoked, secret_of_revoked = push_key_create(partner, None)
    push_key_revoke(revoked, None)
    inactive = Partner.objects.create(
        name="Old", slug="old", category=partner.category, is_active=False
    )
    of_inactive = push_key_create(inactive, None)[1]
    wrong: list[dict[str, Any]] = [
        {"key": ""},
        {"key": "vtf_wrong"},
        {"key": key[:-1]},
        {"key": key + "x"},
        {"key": key.upper()},
        {"key": key, "HTTP_AUTHORIZATION": f"Basic {key}"},
        {"key": key, "HTTP_AUTHORIZATION": key},
        {"key": key, "HTTP_AUTHORIZATION": "Bearer"},
        {"key": key, "HTTP_AUTHORIZATION": "Bearer \xff\xfe"},
        {"key": PushKey.objects.all()[0].digest},
        {"key": of_other},
        {"key": secret_of_revoked},
        {"key": of_inactive, "url": "/feeds/old/"},
        {"key": key, "url": "/feeds/nobody/"},
        {"key": "", "url": "/feeds/nobody/"},
    ]
    answers = set()
    for one in wrong:
        answer, body = send(**one)
        assert (answer.status_code, body.reads) == (401, 0), one
        assert answer["WWW-Authenticate"] == "Bearer"
        error = answer.json()["error"]  # type: ignore[attr-defined]
        assert error.pop("reference")
        answers.add(repr(error))
    assert len(answers) == 1
    assert (Ingestion.objects.count(), OrmQ.objects.count()) == (0, 0)


def test_a_key_is_only_for_the_files_of_its_partner(partner: Partner, key: str) -> None:
    other = Partner.objects.create(name="Other", slug="other", category=partner.category)
    theirs = take_in(partner, FILE)
    of_other = push_key_create(other, None)[1]
    assert ask(key, theirs.reference)[0] == 200
    assert ask(of_other, theirs.reference)[0] == 401
    assert ask(of_other, theirs.reference, "/feeds/other/")[0] == 404
    assert ask(key, "FD-NONE")[0] == 404


# --- Files --------------------------------------------------------------------------------------
def test_a_file_is_stored_read_and_applied(partner: Partner, key: str) -> None:
    status, answer = sent(key)
    ingestion = Ingestion.objects.get()
    reference = ingestion.reference
    url = f"http://testserver/feeds/acme/{reference}/"
    assert (status, answer) == (202, {"reference": reference, "status": "READING", "url": url})
    assert (ingestion.origin, ingestion.is_stored, ingestion.started_by) == ("push", True, None)
    assert b"".join(bytes(part.content) for part in FilePart.objects.all()) == FILE
    work()
    status, answer = ask(key, reference.lower())
    counts = {name: answer[name] for name in push.COUNTS}
    assert (status, answer["status"], answer["url"]) == (200, "DONE", url)
    assert counts == {
        "rows": 3,
        "created": 3,
        "updated": 0,
        "unchanged": 0,
        "rejected": 0,
        "absent": 0,
    }
    assert len(shelf()) == 3
    again = sent(key)
    assert (again[0], again[1]["status"], OrmQ.objects.count()) == (200, "UNCHANGED", 0)


def test_the_same_file_as_the_one_held_is_that_one(partner: Partner, key: str) -> None:
    take_in(partner, FILE)
    held = take_in(partner, FILE.replace(b"24.90", b"2490.00"))
    status, answer = sent(key, FILE.replace(b"24.90", b"2490.00"))
    assert (status, answer["status"], answer["reference"]) == (200, "HELD", held.reference)
    assert ask(key, held.reference)[1]["held_for"] == held.held_for != []


def test_what_became_of_a_bad_file(partner: Partner, key: str) -> None:
    Partner.objects.update(most_rejects_ratio=1.0)
    rows = b"".join(b"B%d,Pan,x,1\n" % number for number in range(150))
    _, answer = sent(key, FILE + rows)
    work()
    _, result = ask(key, answer["reference"])
    assert (result["status"], result["rejected"], result["rows"]) == ("DONE", 150, 153)
    assert result["rejected_by_code"] == {"price": 150}
    assert [row["line"] for row in result["rejected_rows"]] == [*range(5, 105)]
    reject = RejectedRow.objects.order_by("line")[0]
    assert result["rejected_rows"][0] == {"line": 5, "code": "price", "sentence": reject.sentence}
    _, answer = sent(key, b"<html>")
    work()
    _, result = ask(key, answer["reference"])
    assert (result["status"], result["code"]) == ("FAILED", "html")
    assert result["problem"].startswith("The file is a web page")


def test_while_another_file_is_taken_in_it_is_refused(partner: Partner, key: str) -> None:
    sent(key)
    before = everything()
    status, answer = sent(key, FILE + b"A4,Pot,9.00,1\n")
    assert (status, answer["error"]["title"]) == (409, "Not possible at the moment")
    assert answer["error"]["message"] == (
        "A file of Acme is being taken in already. Try again later."
    )
    assert (Ingestion.objects.count(), OrmQ.objects.count(), everything()) == (1, 1, before)


@pytest.mark.parametrize(
    ("length", "status"),
    [
        ("", 411),
        ("0", 400),
        (str(1024**2 + 1), 413),
        (str(10**12), 413),
        ("-1", 400),
        ("x", 400),
    ],
)
def test_a_body_of_the_wrong_length_is_not_read(
    partner: Partner, key: str, length: str, status: int
) -> None:
    Partner.objects.update(most_megabytes=1)
    answer, body = send(key, CONTENT_LENGTH=length)
    assert (answer.status_code, body.reads) == (status, 0)
    assert (Ingestion.objects.count(), FilePart.objects.count()) == (0, 0)


def test_the_largest_body_is_taken_and_not_kept_in_memory(
    partner: Partner, key: str, settings: Settings
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    settings.UPLOAD_MOST_BYTES = len(FILE) * 1000
    assert sent(key, FILE * 1000)[0] == 202
    assert send(key, FILE * 1000 + b"x")[1].reads == 0
    assert Ingestion.objects.get().file_bytes == len(FILE) * 1000


def test_a_body_that_ends_early_changes_nothing(partner: Partner, key: str) -> None:
    class Broken(Body):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionResetError(size)

    for extra in ({"CONTENT_LENGTH": str(len(FILE) + 1)}, {"wsgi.input": Broken()}):
        status, answer = sent(key, **extra)
        assert (status, answer["error"]["title"]) == (400, "Invalid request")
        assert answer["error"]["message"].startswith("The body has ended before")
    assert (Ingestion.objects.count(), OrmQ.objects.count()) == (0, 0)


def test_only_a_post_brings_a_file_and_only_a_get_asks(partner: Partner, key: str) -> None:
    headers = {"HTTP_AUTHORIZATION": f"Bearer {key}"}
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = Client().generic(method, URL, b"x", **headers)  # type: ignore[arg-type]
        assert (answer.status_code, answer["Allow"]) == (405, "POST")
    reference = take_in(partner, FILE).reference
    answer = Client().post(f"{URL}{reference}/", **headers)  # type: ignore[arg-type]
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")


def test_no_session_is_begun_or_read(partner: Partner, key: str) -> None:
    answer, _ = send(key)
    assert (answer.status_code, answer.cookies) == (202, {})
    assert answer["Cache-Control"] == "no-store"
    assert "Cookie" not in answer.get("Vary", "")


# --- Rates --------------------------------------------------------------------------------------
def test_wrong_keys_are_limited_by_client_and_right_ones_are_not(
    partner: Partner, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "FAILED_KEYS", 3)
    monkeypatch.setattr("retail.throttling.time.time", lambda: 6000.0)
    reference = take_in(partner, FILE).reference
    assert [ask(key, reference)[0] for _ in range(6)] == [200] * 6
    assert [sent("vtf_wrong")[0] for _ in range(4)] == [401, 401, 401, 429]
    answer, body = send(key)
    assert (answer.status_code, body.reads) == (429, 0)
    assert answer["Retry-After"] == "60"
    assert answer.json()["error"]["title"] == "Too many requests"  # type: ignore[attr-defined]
    assert send(key, REMOTE_ADDR="198.51.100.7")[0].status_code == 200
    ipv6 = [sent("", REMOTE_ADDR=f"2001:db8:1:2::{host}")[0] for host in range(1, 5)]
    assert ipv6 == [401, 401, 401, 429]  # one network


def test_files_are_limited_by_partner(
    partner: Partner, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "PUSHES", 2)
    monkeypatch.setattr("retail.throttling.time.time", lambda: 6000.0)
    take_in(partner, FILE)
    clients = [f"198.51.100.{number}" for number in range(3)]
    assert [sent(key, REMOTE_ADDR=client)[0] for client in clients] == [200, 200, 429]
    answer, body = send(push_key_create(partner, None)[1])
    assert (answer.status_code, body.reads) == (429, 0)
    other = Partner.objects.create(name="Other", slug="other", category=partner.category)
    assert sent(push_key_create(other, None)[1], url="/feeds/other/")[0] == 202

"""Staff upload a file: taken in, or only tested."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import TemporaryUploadedFile

from partner_feeds import desk_upload
from partner_feeds.models import Ingestion, Partner
from partner_feeds.trial import Trial
from tests.partner_feeds.desks import (
    JUMPED,
    PARTNER,
    UPLOAD,
    csv,
    held,
    logged_in,
    path,
    reading,
    staff,
    state,
    text_of,
    work,
)
from tests.partner_feeds.taking_in import FILE, shelf, take_in

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return staff("merchandiser")


def upload(client: Client, action: str, content: bytes = FILE) -> Any:
    return client.post(UPLOAD, {"action": action, "file": csv(content)})


def test_a_file_is_taken_in(client: Client, partner: Partner) -> None:
    answer = upload(client, "take_in")
    ingestion = Ingestion.objects.get()
    assert answer.headers["Location"] == path(ingestion)
    assert (ingestion.status, ingestion.origin, ingestion.is_stored) == ("READING", "upload", True)
    assert ingestion.started_by == User.objects.get(username="merchandiser")
    page = text_of(client.get(path(ingestion)))
    assert f"Uploaded {len(FILE)} bytes." in page
    assert "Uploaded by staff, merchandiser" in page
    work()
    ingestion.refresh_from_db()
    assert (ingestion.status, len(shelf())) == ("DONE", 3)
    assert "3 products created, 0 changed, 0 unchanged, 0 rows rejected" in text_of(
        client.get(path(ingestion))
    )


def test_the_same_file_goes_to_what_became_of_it(client: Client, partner: Partner) -> None:
    found = held(partner)
    before = state()
    assert upload(client, "take_in", JUMPED).headers["Location"] == path(found)
    assert state() == before
    newer = upload(client, "take_in", FILE)
    same = Ingestion.objects.get(status="UNCHANGED")
    assert newer.headers["Location"] == path(same)
    assert "The same file as before" in text_of(client.get(path(same)))


def test_a_second_file_waits_for_the_first(client: Client, partner: Partner) -> None:
    upload(client, "take_in")
    before = state()
    answer = upload(client, "take_in")
    assert answer.status_code == 409
    assert "A file of Acme is being taken in already." in text_of(answer)
    assert state() == before


def test_files_of_an_inactive_partner_can_only_be_tested(client: Client, partner: Partner) -> None:
    Partner.objects.update(is_active=False)
    before = state()
    answer = upload(client, "take_in")
    assert answer.status_code == 409
    assert "Acme is not active, so its feeds are not taken in." in text_of(answer)
    assert "disabled>Take in</button>" in text_of(answer)
    assert upload(client, "try").status_code == 200
    assert state() == before


def test_a_test_shows_what_was_understood_and_changes_nothing(
    client: Client, partner: Partner
) -> None:
    take_in(partner, FILE)
    rows = [f"B{n},Name {n},{n}.50,{n},Kitchen" for n in range(1, 8)]
    bad = ["X,Bad,0,1,", *(f"Y{n},Bad,x,1," for n in range(22)), "B1,Again,1.00,1,"]
    long = f"L,{'x' * 121},1.00,1,"
    content = "\n".join(["sku,name,price,stock,category", *rows, *bad, long]) + "\n"
    before = state()
    answer = upload(client, "try", content.encode())
    assert answer.status_code == 200
    page = text_of(answer)
    assert "32 rows read, 7 good." in page
    trial = answer.context["trial"]
    assert dict(answer.context["codes"]) == {"price": 22, "key_twice": 2, "price_not_positive": 1}
    assert [item.sku for item in trial.first] == ["B1", "B2", "B3", "B4", "B5"]
    for shown in ("Name 5", "5.50", "Kitchen", "The price 0 is not above 0."):
        assert shown in page
    assert "Name 6" not in page
    assert [row.line for row in trial.rejects] == list(range(9, 29))
    assert "name: cut to 120 characters" in page
    assert "line 33" in page
    assert "Reading stopped" not in page
    assert state() == before


def test_a_test_of_a_refused_file(client: Client, partner: Partner) -> None:
    before = state()
    page = text_of(upload(client, "try", b"<html><body>Log in"))
    assert "The whole file would be refused. The file is a web page" in page
    assert "0 rows read, 0 good." in page
    page = text_of(upload(client, "try", b"sku,name,price\nA,Pan,1\nA,Pot,2\n"))
    assert "Each row has a key that another row has, too." in page
    assert state() == before


def test_a_test_stops_at_its_limits(
    client: Client, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_upload, "TRIAL_ROWS", 2)
    page = text_of(upload(client, "try"))
    assert "2 rows read, 2 good." in page
    assert "Reading stopped after 2 rows" in page
    monkeypatch.setattr(desk_upload, "TRIAL_ROWS", 3)
    assert "Reading stopped" not in text_of(upload(client, "try"))
    monkeypatch.setattr(desk_upload, "TRIAL_SECONDS", -1)
    page = text_of(upload(client, "try"))
    assert "0 rows read, 0 good." in page
    assert "Reading stopped after -1 seconds" in page


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"action": "take_in"}, "Choose a file."),
        ({"action": "try", "file": "not a file"}, "Choose a file."),
        ({"action": "take_in", "file": csv(b"")}, "The file is empty. Choose another one."),
    ],
)
def test_no_file(client: Client, partner: Partner, data: dict[str, Any], words: str) -> None:
    before = state()
    answer = client.post(UPLOAD, data)
    assert answer.status_code == 400
    assert words in text_of(answer)
    assert client.post(UPLOAD, {"file": csv()}).status_code == 400
    assert client.post(UPLOAD, {"action": "x", "file": csv()}).status_code == 400
    assert client.post(UPLOAD, {}, content_type="application/json").status_code == 400
    assert state() == before


def test_the_partners_own_limit(client: Client, partner: Partner) -> None:
    Partner.objects.update(most_megabytes=1)
    before = state()
    for action in ("take_in", "try"):
        answer = upload(client, action, b"x" * (1024**2 + 1))
        assert answer.status_code == 400
        assert "The file has more than 1 MB, which is the limit." in text_of(answer)
    assert state() == before


class _Unread(io.BytesIO):
    def read(self, *_size: int | None) -> bytes:
        raise AssertionError("the body was read")


def test_too_large_a_file_is_refused_unread(
    client: Client, partner: Partner, settings: Settings
) -> None:
    before = state()
    limits = {
        UPLOAD: settings.UPLOAD_MOST_BYTES,
        PARTNER: settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
    }
    for address, most in limits.items():
        assert unread(client, address, most + 1).status_code == 413
    assert state() == before


def unread(client: Client, address: str, size: int) -> Any:
    """Send a body of which nothing may be read."""
    sent: dict[str, Any] = {"wsgi.input": _Unread(), "CONTENT_LENGTH": str(size)}
    return client.generic("POST", address, b"", "multipart/form-data; boundary=b", **sent)


def test_nothing_is_read_of_those_who_may_not_upload(partner: Partner) -> None:
    assert unread(staff("on-call"), UPLOAD, 5_000_000).status_code == 403


def test_a_file_is_not_kept_in_memory(
    client: Client, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []

    def read(_partner: Partner, file: Any, **_limits: Any) -> Trial:
        files.append(file)
        return Trial()

    monkeypatch.setattr(desk_upload, "try_file", read)
    upload(client, "try")
    assert [type(file) for file in files] == [TemporaryUploadedFile]


def test_the_token_is_checked(partner: Partner) -> None:
    staff("merchandiser")
    user = User.objects.get(username="merchandiser")
    client = logged_in(user, enforce_csrf_checks=True)
    before = state()
    assert upload(client, "take_in").status_code == 403
    assert state() == before
    page = client.get(PARTNER).content.decode()
    token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    data = {"action": "take_in", "file": csv(), "csrfmiddlewaretoken": token}
    assert client.post(UPLOAD, data).status_code == 302
    assert Ingestion.objects.get().status == "READING"


def test_a_broken_body(client: Client, partner: Partner) -> None:
    before = state()
    for body in (b"", b"--b\r\n", b"x" * 5000, b'--b\r\nContent-Disposition: form-data; name="f'):
        answer = client.generic("POST", UPLOAD, body, "multipart/form-data; boundary=b")
        assert answer.status_code == 400
    assert state() == before


def test_other_pages_still_take_no_files(client: Client, partner: Partner) -> None:
    ingestion = reading(partner)
    before = state()
    assert client.post(path(ingestion), {"action": "discard", "file": csv()}).status_code == 400
    assert state() == before

"""Staff create and revoke the keys with which a partner sends its files."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django_q.models import OrmQ

from partner_feeds.models import Partner, PushKey
from partner_feeds.push_keys import partner_with, push_key_create
from partner_feeds.tasks import fetch_feed
from products.models import Category
from tests.partner_feeds.desks import PARTNER, logged_in, staff, state, text_of
from tests.support import make_buyer

KEYS = f"{PARTNER}keys/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return staff("merchandiser")


def send(client: Client, **data: object) -> Any:
    return client.post(KEYS, data)


def keys() -> list[dict[str, Any]]:
    return [vars(key) | {"_state": None} for key in PushKey.objects.order_by("pk")]


def test_who_may_handle_keys(partner: Partner) -> None:
    push_key_create(partner, user_id=None)
    before = (keys(), state())
    for other in (staff("on-call"), staff(), logged_in(make_buyer())):
        assert other.get(KEYS).status_code == 403
        assert send(other, action="create").status_code == 403
        assert other.post(PARTNER, {"action": "fetch"}).status_code == 403
    answer = send(Client(), action="create")
    assert answer.headers["Location"] == f"/accounts/login/?next={KEYS}"
    assert (keys(), state()) == before


def test_a_key_is_shown_once(
    client: Client, partner: Partner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = send(client, action="create", seen=0)
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    [secret] = re.findall(r"vtf_[\w-]{43}", text_of(answer))
    assert partner_with(secret, "acme") == partner
    user = User.objects.get(username="merchandiser")
    assert PushKey.objects.get().created_by == user
    assert secret not in client.get(KEYS).content.decode()
    stored = [str(keys()), str(state()), str(dict(client.session))]
    logged = [str(vars(record)) for record in caplog.records]
    assert [text for text in (*stored, *logged, str(client.cookies)) if secret[12:] in text] == []
    assert LogEntry.objects.get().change_message == "API key created."
    assert "merchandiser" in text_of(client.get(KEYS))


def test_a_form_that_is_sent_twice_creates_one_key(client: Client, partner: Partner) -> None:
    page = client.get(KEYS).content.decode()
    assert 'name="seen" value="0"' in page
    send(client, action="create", seen=0)
    before = (keys(), state())
    for seen in (0, 2, "", "x", "\0"):
        answer = send(client, action="create", seen=seen)
        assert answer.status_code == 409
        assert "Nothing was created: these keys have changed" in text_of(answer)
        assert "vtf_" in text_of(answer)
        assert 'name="seen" value="1"' in answer.content.decode()
    assert (keys(), state()) == before
    assert send(client, action="create", seen=1).status_code == 200
    assert PushKey.objects.count() == 2


def test_a_key_is_revoked_once(client: Client, partner: Partner) -> None:
    key, secret = push_key_create(partner, user_id=None)
    assert send(client, action="revoke", key=key.pk).headers["Location"] == KEYS
    assert partner_with(secret, "acme") is None
    assert LogEntry.objects.get().change_message == f"API key {key} revoked."
    before = (keys(), state())
    answer = send(client, action="revoke", key=key.pk)
    assert answer.status_code == 409
    assert f"The key {key} was revoked before." in text_of(answer)
    assert (keys(), state()) == before


def test_forged_input(client: Client, partner: Partner) -> None:
    other = Partner.objects.create(
        name="Other", slug="other", category=Category.objects.get(slug="kitchen")
    )
    key, _ = push_key_create(other, user_id=None)
    before = (keys(), state())
    for sent in (key.pk, 0, -1, "x", "", "9" * 30, "\0"):
        assert send(client, action="revoke", key=sent).status_code == 404
    assert send(client, action="revoke").status_code == 404
    for action in ("", "delete"):
        assert send(client, action=action, key=key.pk).status_code == 400
    assert client.put(KEYS).status_code == 405
    assert client.get("/desk/feeds/nobody/keys/").status_code == 404
    assert (keys(), state()) == before


def test_a_file_is_fetched_now(client: Client, partner: Partner) -> None:
    assert "Fetch now" not in text_of(client.get(PARTNER))
    before = state()
    answer = client.post(PARTNER, {"action": "fetch"})
    assert answer.status_code == 409
    assert "Acme has no address to fetch a file from." in text_of(answer)
    assert client.post(PARTNER, {"action": "x"}).status_code == 400
    assert state() == before
    Partner.objects.update(address="https://acme.example/feed")
    assert "Fetch now" in text_of(client.get(PARTNER))
    assert client.post(PARTNER, {"action": "fetch"}).headers["Location"] == PARTNER
    task = OrmQ.objects.get().task
    user = User.objects.get(username="merchandiser")
    assert (task["func"], task["args"]) == (fetch_feed.path, (partner.pk, user.pk))
    assert "Fetch requested." in text_of(client.get(PARTNER))
    Partner.objects.update(is_active=False)
    answer = client.post(PARTNER, {"action": "fetch"})
    assert answer.status_code == 409
    assert "Acme is not active." in text_of(answer)
    assert OrmQ.objects.count() == 1

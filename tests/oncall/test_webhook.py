"""POST /metrics/alerts/: what is taken, what is refused, and what either leaves behind."""

import json
import logging
from copy import deepcopy
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from oncall.models import Alert, AlertFeed
from tests.oncall.support import alert, minutes, told
from tests.support import moved

pytestmark = pytest.mark.django_db

TOKEN = "the-token-of-alertmanager"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Host": "shop.internal:8000"}


@pytest.fixture(autouse=True)
def _token(settings: Settings) -> None:
    settings.ALERTS_TOKEN = TOKEN


@pytest.fixture
def sender() -> Client:
    return Client(enforce_csrf_checks=True)


def post(sender: Client, body: Any, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Send a body; return the answer's status and sentence."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = sender.generic(
        "POST",
        "/metrics/alerts/",
        data,
        "application/json",
        headers=HEADERS if headers is None else headers,
    )
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    return response.status_code, response.content.decode().rstrip("\n")


def stored() -> int:
    return Alert.objects.count() + AlertFeed.objects.count()


def test_a_notification_is_kept_whole(sender: Client) -> None:
    fire = alert(labels={"origin": "grafana", "product": "7"})
    with moved() as changes:
        assert post(sender, told(fire, alert("Watchdog"))) == (200, "2 alerts taken.")
    assert changes == {}  # no request of the shop's, no error, no metric
    kept = Alert.objects.get()
    assert {
        name: getattr(kept, name) for name in ("fingerprint", "name", "severity", "service")
    } == {
        "fingerprint": fire["fingerprint"],
        "name": "RetailOversold",
        "severity": "critical",
        "service": "shop",
    }
    assert (kept.labels, kept.annotations) == (fire["labels"], fire["annotations"])
    assert (kept.status, kept.origin, kept.generator_url) == (
        "firing",
        "grafana",
        fire["generatorURL"],
    )
    assert (minutes(kept.starts_at), kept.ends_at) == (0, None)
    feed = AlertFeed.objects.get()
    assert feed.heard_at == feed.heartbeat_at == kept.received_at == kept.updated_at


def test_each_news_is_a_line_in_the_log(sender: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "retail.alerts"):
        post(sender, told(alert("Watchdog"), alert(end=5), alert("RetailTargetDown")))
        post(sender, told(alert()))
    facts = [
        (one.getMessage(), one.levelname, one.alert, one.status, one.kept)  # type: ignore[attr-defined]
        for one in caplog.records
        if one.name == "retail.alerts"
    ]
    assert facts == [
        ("event=alert.received", "INFO", "RetailOversold", "resolved", True),
        ("event=alert.received", "INFO", "RetailTargetDown", "firing", True),
        ("event=alert.received", "INFO", "RetailOversold", "firing", False),
    ]


@pytest.mark.parametrize(
    ("labels", "origin"),
    [({}, "prometheus"), ({"origin": "loki"}, "loki"), ({"origin": "elsewhere"}, "prometheus")],
)
def test_who_evaluates_it_is_a_label(sender: Client, labels: dict[str, str], origin: str) -> None:
    post(sender, told(alert(labels=labels)))
    assert Alert.objects.get().origin == origin


def test_long_names_and_odd_characters_lose_no_alert(sender: Client) -> None:
    odd = {"severity": "s" * 500, "service": "x" * 500, "nul\x00": "a\x00b", "sea": "Süße 🐟"}
    fire = alert("Retail" * 100, labels=odd, fingerprint="f" * 64, annotations={"summary": "\x00"})
    assert post(sender, told(fire)) == (200, "1 alerts taken.")
    kept = Alert.objects.get()
    assert (len(kept.name), len(kept.severity), len(kept.service)) == (200, 40, 100)
    assert (kept.labels["nul�"], kept.labels["sea"]) == ("a�b", "Süße 🐟")


@pytest.mark.parametrize(
    ("debug", "token", "authorization", "status"),
    [
        (False, TOKEN, "", 401),
        (False, TOKEN, "Bearer wrong", 401),
        (False, TOKEN, f"Basic {TOKEN}", 401),
        (True, TOKEN, "", 401),
        (True, "", "", 200),
        (False, "", "", 401),
        (False, "", "Bearer ", 401),
        (False, TOKEN, f"bearer {TOKEN}", 200),
    ],
)
def test_only_the_bearer_tells(
    sender: Client, settings: Settings, debug: bool, token: str, authorization: str, status: int
) -> None:
    settings.DEBUG, settings.ALERTS_TOKEN = debug, token
    answer = post(sender, told(alert()), {"Authorization": authorization})
    assert answer[0] == status
    assert stored() == (2 if status == 200 else 0)


def changed(**facts: Any) -> dict[str, Any]:
    """Return a notification of two alerts, something of the second changed or (None) left out."""
    second = {**alert("RetailTargetDown"), **facts}
    return told(alert(), {name: value for name, value in second.items() if value is not None})


RESOLVED_AT_NOON = {"status": "resolved", "startsAt": "2026-03-01T12:00:00Z"}
LABELS = {"alertname": "RetailOversold"}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The body must be JSON."),
        (b"{", "The body must be JSON."),
        (b"\xff", "The body must be JSON."),
        (b'"\\ud800"', "The body must be JSON."),
        (b"[" * 100_000, "The body must be JSON."),
        ([], 'The body must be an Alertmanager notification of version "4".'),
        ({}, 'The body must be an Alertmanager notification of version "4".'),
        ({**told(), "version": 4}, 'The body must be an Alertmanager notification of version "4".'),
        (
            {**told(), "version": "5"},
            'The body must be an Alertmanager notification of version "4".',
        ),
        ({**told(), "alerts": None}, "alerts must be a list."),
        ({**told(), "alerts": {"a": 1}}, "alerts must be a list."),
        ({**told(), "alerts": [alert(), 7]}, "alerts[1] must be an object."),
        (changed(status="broken"), "alerts[1].status must be firing or resolved."),
        (changed(status=None), "alerts[1].status must be a text."),
        (changed(fingerprint=12), "alerts[1].fingerprint must be a text."),
        (changed(fingerprint=""), "alerts[1].fingerprint must have 1 to 64 characters."),
        (changed(fingerprint="f" * 65), "alerts[1].fingerprint must have 1 to 64 characters."),
        (changed(labels=[]), "alerts[1].labels must be an object of texts."),
        (changed(labels=None), "alerts[1].labels.alertname must name the alert."),
        (changed(labels={"alertname": ""}), "alerts[1].labels.alertname must name the alert."),
        (changed(labels={**LABELS, "x": 1}), "alerts[1].labels.x must be a text."),
        (changed(annotations="x"), "alerts[1].annotations must be an object of texts."),
        (changed(annotations={"summary": {}}), "alerts[1].annotations.summary must be a text."),
        (changed(generatorURL=[]), "alerts[1].generatorURL must be a text."),
        (changed(startsAt=None), "alerts[1].startsAt must be a text."),
        *(
            (
                changed(startsAt=time),
                "alerts[1].startsAt must be a time with its offset, as of RFC 3339.",
            )
            for time in ("", "noon", "2026-03-01T12:00:00", "9999-12-31T23:59:59-14:00")
        ),
        (
            changed(**RESOLVED_AT_NOON, endsAt="2026-03-01T11:59:59Z"),
            "alerts[1].endsAt must not be before startsAt.",
        ),
        (
            changed(status="resolved", startsAt="0001-01-01T00:00:00Z"),
            "alerts[1].endsAt must not be before startsAt.",
        ),
    ],
)
def test_what_is_no_notification_is_refused_with_a_sentence_and_leaves_nothing(
    sender: Client, body: Any, sentence: str
) -> None:
    with moved() as changes:
        assert post(sender, body) == (400, sentence)
    assert (stored(), changes) == (0, {})


def test_at_most_a_megabyte(sender: Client, settings: Settings) -> None:
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE == 1024 * 1024
    full = json.dumps(told(alert(annotations={"description": "x" * 1_000_000}))).encode()
    most = full + b" " * (1024 * 1024 - len(full))
    assert post(sender, most + b" ") == (413, "Send at most 1 MB: set max_alerts on the webhook.")
    assert stored() == 0
    assert post(sender, most)[0] == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"])
def test_other_methods_are_none(sender: Client, method: str) -> None:
    response = sender.generic(method, "/metrics/alerts/", headers=HEADERS)
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD, POST")


def test_a_database_that_is_away_has_it_sent_again(
    sender: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(**_: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr("oncall.webhook.alerts_receive", away)
    assert post(sender, told(alert())) == (
        503,
        "The database does not answer: send it again.",
    )
    assert [one.getMessage() for one in caplog.records] == ["event=alert.not_kept"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=8,
)
PLACES = st.sampled_from(
    [
        ("version",),
        ("alerts",),
        *(("alerts", 0, name) for name in alert()),
        *(("alerts", 0, "labels", name) for name in ("alertname", "severity", "x")),
        ("alerts", 0, "annotations", "summary"),
    ]
)


@hypothesis_settings(
    max_examples=hypothesis_settings().max_examples * 3 // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=PLACES, value=JSON)
def test_nothing_that_is_sent_breaks_it(
    sender: Client, place: tuple[str | int, ...], value: Any
) -> None:
    body: Any = deepcopy(told(alert(end=5)))
    inside = body
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    before = stored()
    status, sentence = post(sender, body)
    assert status in {200, 400}
    assert sentence
    if status == 400:
        assert stored() == before
